/**
 * What a hostile job does on its VM as an ordinary user, as scripts for its own shell. Every one goes on after a
 * step that fails: a door that is closed is what the test wants. All names hold the word, so that whoever looks
 * afterwards finds what is left.
 */
export const word = 'hostile';

const everywhere = `find / -path /proc -prune -o -type d -writable -print0 2>/dev/null`;

/** Files of all kinds in every place where the job may write, set-id programs among them. */
export const plantFiles = `
cd ~
${everywhere} > ~/${word}.places
while IFS= read -r -d '' d; do
  : > "$d/${word}" ; : > "$d/${word} "$'new\\nline' ; mkdir "$d/.${word}.d" ; ln -s /etc/shadow "$d/${word}.link" ; mkfifo "$d/${word}.pipe"
  cp /bin/bash "$d/${word}-sh" && chmod 6755 "$d/${word}-sh"
  ln /usr/bin/passwd "$d/${word}-hard"
  mkdir "$d/${word}.shut" && : > "$d/${word}.shut/f" && chmod 000 "$d/${word}.shut"
done < ~/${word}.places 2>/dev/null
tr '\\0' '\\n' < ~/${word}.places
`;

/** Ways to be started again: timers, units, shells, keys, libraries. */
export const plantStarts = (publicKey: string): string => `
cd ~
mkdir -p .ssh .config/systemd/user/default.target.wants .config/autostart .config/environment.d
chmod 700 .ssh; echo '${publicKey}' | tee .ssh/authorized_keys > .ssh/authorized_keys2; chmod 600 .ssh/*
for key in /etc/vmpool/keys/alice /etc/vmpool/keys/root /root/.ssh/authorized_keys; do echo '${publicKey}' >> $key; done
printf '[Service]\\nExecStart=/bin/sleep 4242\\n' > .config/systemd/user/${word}.service
ln -s ../${word}.service .config/systemd/user/default.target.wants/
command -v systemctl && systemctl --user enable --now ${word}.service
command -v loginctl && loginctl enable-linger
for f in .bashrc .profile .bash_logout .pam_environment .ssh/environment .ssh/rc .forward .config/environment.d/x.conf; do echo 'LD_PRELOAD=/tmp/${word}.so' >> $f; done
echo /tmp/${word}.so > /etc/ld.so.preload; echo /tmp > /etc/ld.so.conf.d/${word}.conf
echo '* * * * * /tmp/${word}' > table; crontab table; cp table /var/spool/cron/crontabs/alice; cp table /etc/cron.d/${word}
echo /tmp/${word} | at now + 1 minute; echo true > /var/spool/cron/atjobs/a0001
echo 'x' > /run/systemd/system/${word}.service; echo 'x' > /etc/profile.d/${word}.sh; echo 'x' > /etc/environment
echo 'alice ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/${word}
sysctl -w kernel.core_pattern='|/tmp/${word}'; echo '|/tmp/${word}' > /proc/sys/kernel/core_pattern
true
`;

/** Where programs with more rights than a job write for it, as a usual image has them. */
export const spools = ['/var/spool/cron/crontabs', '/var/spool/cron/atjobs', '/var/lib/systemd/linger'];

/**
 * For root: what `crontab`, `at` and `loginctl enable-linger` write for a job that may use them, with their owners and
 * modes, whether this image has them or not.
 */
export const plantByServants = `
set -e
echo '* * * * * /tmp/${word}' > /var/spool/cron/crontabs/alice; chown alice /var/spool/cron/crontabs/alice; chmod 600 /var/spool/cron/crontabs/alice
echo /tmp/${word} > /var/spool/cron/atjobs/a0000101c2d3e4; chown alice: /var/spool/cron/atjobs/a0000101c2d3e4; chmod 700 /var/spool/cron/atjobs/a0000101c2d3e4
: > /var/lib/systemd/linger/alice
`;

/** Memory that no process needs to keep. */
export const plantMemory = `
ipcmk -M 65536; ipcmk -S 3; ipcmk -Q; ipcmk -M 4096 -p 0666
: > /dev/mqueue/${word}; head -c 65536 /dev/zero > /dev/shm/${word}.seg
command -v keyctl && keyctl add user ${word} secret @u
true
`;

const ignoring = `$SIG{$_} = "IGNORE" for qw(TERM HUP INT QUIT USR1 USR2 PIPE ALRM CHLD);`;
const perl = (name: string, body: string): string =>
  `( setsid perl -e '${ignoring} $0 = q{${name}}; exit if fork; setpgrp; exit if fork; ${body}' ${word} >/dev/null 2>&1 </dev/null & )`;
const sleep = 'while (1) { sleep 1000 }';

/** Processes that mean to stay: deaf, renamed, in namespaces of their own, stopped, always another one. */
export const plantProcesses = `
cd /
${[
  'sshd: root@notty',
  'sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups',
  'sshd: alice [priv]',
  '[kworker/0:1]',
  '/usr/lib/systemd/systemd-journald',
  'init',
  ' ',
]
  .map((name) => perl(name, sleep))
  .join('\n')}
${perl(`${word}-socket`, `use Socket; socket(S, PF_UNIX, SOCK_STREAM, 0); bind(S, pack_sockaddr_un("\\0${word}")); listen(S, 5); socket(T, PF_INET, SOCK_STREAM, 0); bind(T, pack_sockaddr_in(4242, INADDR_ANY)); listen(T, 5); ${sleep}`)}
${perl(`${word}-roamer`, 'while (1) { exit if fork; select(undef, undef, undef, 0.02) }')}
${perl(`${word}-writer`, `while (1) { for my $d ("/tmp", "/var/tmp", "/dev/shm", "/run/lock", "/home/alice") { open(F, ">", "$d/${word}.".$$.".".time) and close F } select(undef, undef, undef, 0.05) }`)}
cp /bin/sleep ~/${word}-gone; ( setsid ~/${word}-gone 4242 >/dev/null 2>&1 </dev/null & ); sleep 0.1; rm -f ~/${word}-gone
( setsid unshare --user --map-root-user --pid --fork --net --ipc --uts --mount bash -c 'trap "" TERM HUP; mount -t proc none /proc; mount -t tmpfs none /mnt; : > /mnt/${word}; mount --bind /mnt /etc; mount --bind /tmp /opt; hostname ${word}; exec -a ${word}-ns sleep 4242' >/dev/null 2>&1 </dev/null & )
( setsid bash -c 'exec -a ${word}-still sleep 4242' >/dev/null 2>&1 </dev/null & )
for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do pgrep -xf '${word}-still 4242' >/dev/null && break; sleep 0.1; done
pkill -STOP -xf '${word}-still 4242'
ps -eo user:20,pid,args | grep -c '^alice'
`;

/** The disk of the machine, its shared memory and its places of files to the last byte. */
export const fillDisks = `
for d in ~ /tmp /dev/shm; do cat /dev/zero > $d/${word}.fill 2>/dev/null; for n in 1 2 3 4 5 6 7 8 9; do echo $n > $d/${word}.$n 2>/dev/null; done; done
df -Pk / /dev/shm | awk 'NR > 1 { print $4 }'
`;

/** As many processes as the limit gives, for ever. */
export const forkBomb = `( setsid perl -e '$SIG{TERM} = "IGNORE"; while (1) { fork; select(undef, undef, undef, 0.05) }' ${word}-bomb >/dev/null 2>&1 </dev/null & ); sleep 1; true`;

/** For root, afterwards: every trace that is left, one on each line. */
export const findTraces = (uid: number, gid: number): string => `
find / -path /proc -prune -o \\( -uid ${uid} -o -gid ${gid} -o -gid 4100 -o -name '*${word}*' -o -path '/var/lib/systemd/linger/*' \\) -printf 'file %p\\n' 2>/dev/null
for p in /proc/[0-9]*; do
  [ "$p" = /proc/$$ ] && continue
  if grep -qE '^Uid:.*\\b${uid}\\b' "$p/status" 2>/dev/null || tr '\\0' ' ' < "$p/cmdline" 2>/dev/null | grep -q '[h]ostile'; then echo "process $p $(tr '\\0' ' ' < "$p/cmdline" | cut -c 1-60)"; fi
done
for kind in shm sem msg; do tail -n +2 /proc/sysvipc/$kind | sed "s/^/ipc $kind /"; done
find /dev/mqueue -mindepth 1 -printf 'mqueue %p\\n'
grep -h '@${word}' /proc/net/unix
awk 'NR > 1 && $8 == ${uid} { print "socket " $2 }' /proc/net/tcp /proc/net/udp
find /proc/[0-9]*/ns -maxdepth 1 -printf '%l\\n' 2>/dev/null | grep -E '^(mnt|user|pid|net|ipc|uts):' | sort -u | awk -F: '{ n[$1]++ } END { for (k in n) if (n[k] > 1) print "namespaces " k " " n[k] }'
getent passwd alice ${uid}; getent group alice physics
grep -lsE 'alice|${word}' /etc/passwd /etc/shadow /etc/group /etc/gshadow /etc/subuid /etc/subgid /etc/passwd- /etc/shadow- /etc/group- /etc/gshadow- /etc/subuid- /etc/subgid-
true
`;
