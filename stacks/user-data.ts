import { createHash } from 'node:crypto';

/** What stands for the pool's public admin key in the site's own user data. */
export const adminKeyPlaceholder = '@ADMIN_KEY@';

/**
 * The user data of a pool that brings none of its own. A plain shell script, so that it needs nothing of the
 * image but sh and root. The host keys go to the console once more in cloud-init's format, because the service
 * learns them there and not every image prints them.
 */
const defaultTemplate = `#!/bin/sh
umask 077
mkdir -p /root/.ssh
touch /root/.ssh/authorized_keys
grep -qxF '${adminKeyPlaceholder}' /root/.ssh/authorized_keys || echo '${adminKeyPlaceholder}' >> /root/.ssh/authorized_keys
chmod 700 /root/.ssh
chmod 600 /root/.ssh/authorized_keys
{
  echo '-----BEGIN SSH HOST KEY KEYS-----'
  cat /etc/ssh/ssh_host_*_key.pub
  echo '-----END SSH HOST KEY KEYS-----'
} > /dev/console 2>/dev/null || true
`;

/** What cloud-init makes of user data, by its first characters (cloud-init's documentation, "User-data formats"). */
const formats: readonly (readonly [string, string])[] = [
  ['#!', 'text/x-shellscript'],
  ['#cloud-config-archive', 'text/cloud-config-archive'],
  ['#cloud-config', 'text/cloud-config'],
  ['#cloud-boothook', 'text/cloud-boothook'],
  ['#include', 'text/x-include-url'],
  ['#upstart-job', 'text/upstart-job'],
  ['#part-handler', 'text/part-handler'],
  ['## template: jinja', 'text/jinja2'],
];

const isMime = (text: string): boolean => /^(content-type:\s*multipart\/|mime-version:)/i.test(text);

/** Whether the site's user data can stand beside the pool's own script in one MIME message. */
export const canBeMerged = (template: string): boolean =>
  isMime(template) || formats.some(([begin]) => template.startsWith(begin));

/**
 * User data as the servers get it. Empty means the pool's own script alone, which needs nothing of the image but sh
 * and root; with the placeholder in it the site's own alone; otherwise both, as a MIME message for cloud-init. Pure:
 * the message's boundary is made of its content, so that the same config is always the same generation.
 */
export const renderUserData = (template: string, adminKey: string): string => {
  const script = defaultTemplate.replaceAll(adminKeyPlaceholder, adminKey);
  if (template === '') return script;
  if (template.includes(adminKeyPlaceholder) || adminKey === '' || !canBeMerged(template)) {
    return template.replaceAll(adminKeyPlaceholder, adminKey);
  }
  const boundary = `vmpool-${createHash('sha256').update(script).update(template).digest('hex').slice(0, 24)}`;
  const part = (type: string, body: string): string =>
    `--${boundary}\nContent-Type: ${type}; charset="utf-8"\nMIME-Version: 1.0\n\n${body.replace(/\n?$/, '\n')}`;
  const type = formats.find(([begin]) => template.startsWith(begin))?.[1] ?? '';
  return [
    `Content-Type: multipart/mixed; boundary="${boundary}"\nMIME-Version: 1.0\n\n`,
    part('text/x-shellscript', script),
    isMime(template) ? `--${boundary}\n${template.replace(/\n?$/, '\n')}` : part(type, template),
    `--${boundary}--\n`,
  ].join('');
};
