/** A file of the system that an installation of the service consists of. */
export interface SystemFile {
  readonly path: string;
  readonly text: string;
}

export interface ServiceLayout {
  /** Node and the program, as absolute paths: units know no PATH. */
  readonly node: string;
  readonly program: string;
  readonly configFile: string;
  readonly stateDir: string;
  readonly backupDir: string;
  /** Backups that are kept; one is made each night. */
  readonly keepBackups: number;
  /** Where standard output goes: systemd's journal, or a file that logrotate turns over. */
  readonly log: 'journal' | 'file';
}

/** The account that the service runs as; it owns the state and nothing else. */
export const serviceUser = 'vmpool';

const logFile = '/var/log/vmpool/vmpool.jsonl';

/**
 * What systemd can take away from a process that talks to the network, starts `pulumi` and ssh, and writes into its
 * state directory alone. Not MemoryDenyWriteExecute: V8 compiles at run time. AF_NETLINK is for name service and Go.
 */
const hardening = `NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
PrivateDevices=yes
PrivateTmp=yes
PrivateUsers=yes
RemoveIPC=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
UMask=0077
`;

/** A unit that does one thing and ends, and the timer that starts it each night. */
const nightly = (
  name: string,
  unit: {
    readonly description: string;
    readonly after?: string;
    /** Its own lines. */
    readonly service: string;
    /** Of the day, the machine's time, and up to how much later. */
    readonly at: string;
    readonly spread: string;
  },
): readonly SystemFile[] => [
  {
    path: `/etc/systemd/system/${name}.service`,
    text: `[Unit]
Description=VM Pool, ${unit.description}
${unit.after === undefined ? '' : `After=${unit.after}\n`}
[Service]
Type=oneshot
User=${serviceUser}
Group=${serviceUser}
${unit.service}
${hardening}`,
  },
  {
    path: `/etc/systemd/system/${name}.timer`,
    text: `[Unit]
Description=Every night: ${name}

[Timer]
OnCalendar=*-*-* ${unit.at}
RandomizedDelaySec=${unit.spread}
Persistent=true

[Install]
WantedBy=timers.target
`,
  },
];

/**
 * The files of an installation with systemd: units, account, directories, and the log's turning over. Paths are
 * refused by `layoutProblems` where systemd would read them otherwise than as one word.
 */
export const serviceFiles = (layout: ServiceLayout): readonly SystemFile[] => {
  const { node, program, configFile, stateDir, backupDir } = layout;
  const output =
    layout.log === 'file'
      ? `StandardOutput=append:${logFile}\nStandardError=journal\n`
      : 'SyslogIdentifier=vmpool\n';
  const files: SystemFile[] = [
    {
      path: '/etc/systemd/system/vmpool.service',
      text: `[Unit]
Description=VM Pool, lease service
Documentation=man:systemd.service(5)
Wants=network-online.target
After=network-online.target nss-lookup.target time-sync.target

[Service]
Type=exec
User=${serviceUser}
Group=${serviceUser}
# OS_* of the cloud, if they are not in clouds.yaml: root's, 0600.
EnvironmentFile=-/etc/vmpool/environment
ExecStart=${node} ${program} serve --config ${configFile}
ExecReload=/bin/kill -HUP $MAINPID
# A wrong configuration does not get better by trying again.
Restart=on-failure
RestartSec=2
RestartPreventExitStatus=2
# The service ends its own processes; updates of cells under way get half a minute.
KillMode=mixed
TimeoutStopSec=60
LimitNOFILE=65536
${output}ReadWritePaths=${stateDir}
${hardening}
[Install]
WantedBy=multi-user.target
`,
    },
    ...nightly('vmpool-backup', {
      description: 'backup of the lease book',
      service: `EnvironmentFile=-/etc/vmpool/environment
ExecStart=${node} ${program} backup ${backupDir} --keep ${String(layout.keepBackups)} --config ${configFile}
TimeoutStartSec=10min
ReadWritePaths=${stateDir} ${backupDir}`,
      at: '02:30',
      spread: '30min',
    }),
    ...nightly('vmpool-audit', {
      description: 'audit of the cloud',
      after: 'vmpool.service',
      service: `EnvironmentFile=-/etc/vmpool/environment
Environment=VMPOOL_TOKEN_FILE=/etc/vmpool/operator.token
ExecStart=${node} ${program} audit --config ${configFile}
TimeoutStartSec=2h
ReadWritePaths=${stateDir}`,
      at: '03:30',
      spread: '10min',
    }),
    {
      path: '/etc/sysusers.d/vmpool.conf',
      text: `#Type Name Id GECOS Home Shell\nu ${serviceUser} - "VM Pool" ${stateDir} /usr/sbin/nologin\n`,
    },
    {
      path: '/etc/tmpfiles.d/vmpool.conf',
      text: [
        '#Type Path Mode User Group Age',
        `d /etc/vmpool 0750 root ${serviceUser} -`,
        `d /etc/vmpool/tokens 0750 root ${serviceUser} -`,
        `d ${stateDir} 0700 ${serviceUser} ${serviceUser} -`,
        `d ${backupDir} 0700 ${serviceUser} ${serviceUser} -`,
        ...(layout.log === 'file' ? [`d /var/log/vmpool 0750 ${serviceUser} ${serviceUser} -`] : []),
        '',
      ].join('\n'),
    },
  ];
  return layout.log === 'file' ? [...files, logrotateFile] : files;
};

/** Copied and cut, not renamed: systemd holds the file open for as long as the service runs. */
const logrotateFile: SystemFile = {
  path: '/etc/logrotate.d/vmpool',
  text: `/var/log/vmpool/*.jsonl {
    su ${serviceUser} ${serviceUser}
    daily
    rotate 14
    maxsize 256M
    missingok
    notifempty
    compress
    delaycompress
    copytruncate
}
`,
};

/** Why systemd, sysusers or tmpfiles would not read these paths as they are meant; empty when they would. */
export const layoutProblems = (layout: ServiceLayout): readonly string[] => {
  const named = [
    ['Node', layout.node],
    ['the program', layout.program],
    ['the configuration', layout.configFile],
    ['the state directory', layout.stateDir],
    ['the directory of backups', layout.backupDir],
  ] as const;
  return named.flatMap(([what, path]) =>
    /^\/[\w./@+,:=-]*$/.test(path)
      ? []
      : [
          `${what}, ${JSON.stringify(path)}, must be an absolute path of letters, digits and . _ - / @ + , : =`,
        ],
  );
};
