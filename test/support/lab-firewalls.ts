// Firewalls on hosts of a lab, as administrators set them: all that is not admitted is dropped, coming in and passing through.
// The daemon's ports are admitted with the very commands `tsswarm doctor` prints.
import { cpSync, mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { inHost } from '../../cli/lab/topology.ts'
import { runCommand } from '../../proto/lib/command.ts'

const doctor = [process.execPath, resolve('dist/tsswarm.js'), 'doctor']

/** A host's namespace, and what else enters it. */
export interface FirewallHost {
  readonly lab: string
  readonly host: string
  /** Argv put before each command in the namespace. */
  readonly prefix: readonly string[]
}

/** Policy DROP for INPUT and FORWARD of both families, but for answers, loopback and what IPv6 rests on. */
export async function dropByDefault(
  on: FirewallHost,
  tools: readonly [four: string, six: string],
): Promise<void> {
  const [four, six] = tools
  const script = [
    ...tools.flatMap((tool) => [
      `${tool} -A INPUT -i lo -j ACCEPT`,
      `${tool} -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT`,
    ]),
    `${six} -A INPUT -p ipv6-icmp -j ACCEPT`,
    ...[four, six].flatMap((tool) => [`${tool} -P INPUT DROP`, `${tool} -P FORWARD DROP`]),
  ]
  await must(on, script.join('\n'))
  await admitDaemon(on)
}

/** Debian's ufw, with its defaults: deny what comes in, nothing is routed. */
export async function enableUfw(on: FirewallHost): Promise<void> {
  await must(on, 'ufw --force enable')
  await admitDaemon(on)
}

/**
 * Argv that gives the command after it files of its own for ufw, below that directory; those of this machine stay as they
 * are.
 */
export function ownUfwFiles(directory: string): readonly string[] {
  mkdirSync(directory, { recursive: true, mode: 0o755 })
  const [rules, defaults] = [join(directory, 'ufw'), join(directory, 'defaults')]
  cpSync('/etc/ufw', rules, { recursive: true, preserveTimestamps: true })
  cpSync('/etc/default/ufw', defaults)
  const script =
    'mount --bind "$1" /etc/ufw; mount --bind "$2" /etc/default/ufw; shift 2; exec "$@"'
  return ['unshare', '-m', '--propagation', 'slave', 'sh', '-ec', script, 'sh', rules, defaults]
}

async function admitDaemon(on: FirewallHost): Promise<void> {
  const before = await within(on, doctor)
  const [, remedy] = /^FAIL +firewall .*\n +-> (.*)$/m.exec(before.stdout) ?? []
  if (remedy === undefined) throw new Error(`doctor does not see the firewall: ${before.stdout}`)
  await must(on, remedy)
  const after = await within(on, doctor)
  if (!/^ok +firewall /m.test(after.stdout)) {
    throw new Error(`doctor's own remedy does not content it: ${after.stdout}`)
  }
}

async function must(on: FirewallHost, script: string): Promise<void> {
  const { code, stdout, stderr } = await within(on, ['sh', '-ec', script])
  if (code !== 0) throw new Error(`${on.host}: ${script}: ${stdout}${stderr}`)
}

function within(
  { lab, host, prefix }: FirewallHost,
  argv: readonly string[],
): ReturnType<typeof runCommand> {
  return runCommand(inHost(lab, host, [...prefix, ...argv]), { timeoutMs: 60_000 })
}
