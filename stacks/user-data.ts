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

/** User data as the servers get it. `template` empty means the default script. */
export const renderUserData = (template: string, adminKey: string): string =>
  (template === '' ? defaultTemplate : template).replaceAll(adminKeyPlaceholder, adminKey);
