// Makes the kernel forget tracked connections (flows.ts says which).
import { answererOf, type Forgotten, strayFlows, tracked, withoutNarrower } from './flows.ts'
import type { Kernel } from './kernel.ts'
import { familyOf } from './overlay-state.ts'
import type { CompiledOverlay, Piece } from './pieces.ts'

/** With more of them it is cheaper to look first which there are. */
const triedMax = 2

/**
 * Looks for what is there of more than two, and forgets that by one program. Each look for flows walks through the table of all
 * connections of all namespaces, also of an empty one: 4 ms where it has 262,144 places.
 */
export async function forgetFlows(kernel: Kernel, forgotten: readonly Forgotten[]): Promise<void> {
  const needed = withoutNarrower(forgotten)
  const present = needed.length > triedMax ? await presentOf(kernel, needed) : needed
  if (present.length === 0) return
  const lines = present.map((one) => `-D ${one.join(' ')}`)
  await kernel.runOften('dataPlane', ['sh', '-c', deletion, 'sh', ...lines])
}

/** Nothing where nothing is tracked; and one program a line where conntrack is older than 1.4.7 and takes no file of them. */
const deletion = [
  'read -r count </proc/sys/net/netfilter/nf_conntrack_count; [ "$count" = 0 ] && exit',
  'printf "%s\\n" "$@" | conntrack -R - || for line; do conntrack $line; done',
].join('\n')

/** All where it is not known. */
async function presentOf(
  kernel: Kernel,
  forgotten: readonly Forgotten[],
): Promise<readonly Forgotten[]> {
  const addresses = [...new Set(forgotten.map(answererOf))]
  const families = [...new Set(addresses.map(familyOf))].map((family) => `ipv${family}`).join(' ')
  // A busy host tracks a hundred thousand: only lines with one of the addresses come here.
  const list = 'for family in $families; do conntrack -L -f "$family" || kill $$; done'
  const script = `families=$1; shift; ${list} | { grep -wF "$@" || [ $? -eq 1 ]; }`
  const patterns = addresses.flatMap((address) => ['-e', address])
  const argv = ['sh', '-c', script, 'sh', families, ...patterns]
  const { code, stdout } = await kernel.runOften('dataPlane', argv)
  return code === 0 ? tracked(stdout, forgotten) : forgotten
}

/** Of all there are, those that the overlay does not lead where they go. */
export async function forgetStrayFlows(
  kernel: Kernel,
  overlay: CompiledOverlay | undefined,
): Promise<void> {
  if (overlay === undefined) return
  const pieces = [...overlay.groups.values()].flatMap((group) => [...group.pieces.values()])
  const families = familiesOf(pieces)
  if (families.length === 0) return
  const script = families.map((family) => `conntrack -L -f ipv${family}`).join('; ')
  const { stdout } = await kernel.run('dataPlane', ['sh', '-c', script])
  await forgetFlows(kernel, strayFlows(stdout, pieces))
}

/** Of what leads to tasks, and of the tasks. */
function familiesOf(pieces: readonly Piece[]): readonly (4 | 6)[] {
  const families = new Set<4 | 6>()
  for (const { ways = [], members = [] } of pieces) {
    for (const { at } of ways) families.add(familyOf(at.split(' ')[0] ?? ''))
    for (const address of members) families.add(familyOf(address))
  }
  return [...families].sort()
}
