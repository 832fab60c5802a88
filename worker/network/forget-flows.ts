// What connection tracking must forget when tasks leave: it would go on leading clients to them.
import type { Kernel } from './kernel.ts'

/**
 * A sender of UDP that never pauses would be led to a task that is gone for ever (`addresses`), or kept from a port of the
 * host by the answer it got before the port was open (`openedPorts`).
 */
export async function forgetDatagrams(
  kernel: Pick<Kernel, 'run'>,
  addresses: readonly string[],
  openedPorts: readonly string[],
): Promise<void> {
  const ofAddress =
    'for a; do case "$a" in *:*) f=ipv6;; *) f=ipv4;; esac; conntrack -D -f $f -p udp --reply-src "$a"; done'
  const ofPort =
    'for p; do for f in ipv4 ipv6; do conntrack -D -f $f -p udp --orig-port-dst "$p"; done; done'
  if (addresses.length > 0) {
    await kernel.run('dataPlane', ['sh', '-c', ofAddress, 'sh', ...addresses])
  }
  if (openedPorts.length > 0) {
    await kernel.run('host', ['sh', '-c', ofPort, 'sh', ...openedPorts])
  }
}

/**
 * Clients of SCTP often keep one port for ever: one that begins anew would be led to where its old association went. An
 * association lives while its task does; one of a task that is gone is told so by whoever gets its next packet.
 */
export async function forgetAssociations(
  kernel: Pick<Kernel, 'run'>,
  addresses: readonly string[],
): Promise<void> {
  if (addresses.length === 0) return
  const gone = new Set(addresses)
  const list = 'for f in ipv4 ipv6; do conntrack -L -f $f -p sctp 2>/dev/null; done; true'
  const { stdout } = await kernel.run('dataPlane', ['sh', '-c', list])
  const found = backendsOf(stdout).filter((address) => gone.has(address))
  if (found.length === 0) return
  const forget =
    'for a; do case "$a" in *:*) f=ipv6;; *) f=ipv4;; esac; conntrack -D -f $f -p sctp --reply-src "$a"; done'
  await kernel.run('dataPlane', ['sh', '-c', forget, 'sh', ...new Set(found)])
}

/** Who answers, of each line of `conntrack -L`: the source of its second half. */
export function backendsOf(listing: string): readonly string[] {
  return listing.split('\n').flatMap((line) => {
    const [, second] = [...line.matchAll(/\bsrc=(\S+)/g)]
    return second?.[1] === undefined ? [] : [second[1]]
  })
}
