// Makes the kernel forget tracked connections (flows.ts says which).
import { answererOf, type Forgotten, strayFlows, tracked } from './flows.ts'
import type { Kernel } from './kernel.ts'
import { familyOf } from './overlay-state.ts'
import type { CompiledOverlay } from './pieces.ts'

/**
 * Each look for flows is a walk through all that the kernel tracks, on every host for every change: for more than one pattern the
 * flows are listed once, and only what is there is looked for again.
 */
export async function forgetFlows(kernel: Kernel, forgotten: readonly Forgotten[]): Promise<void> {
  const present = await presentOf(kernel, forgotten)
  if (present.length === 0) return
  const script = 'for flows; do conntrack -D $flows; done'
  const args = present.map((one) => one.join(' '))
  await kernel.runOften('dataPlane', ['sh', '-c', script, 'sh', ...args])
}

/** All where it is not known. */
async function presentOf(
  kernel: Kernel,
  forgotten: readonly Forgotten[],
): Promise<readonly Forgotten[]> {
  if (forgotten.length <= 1) return forgotten
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
  await forgetFlows(kernel, strayFlows(await listFlows(kernel), pieces))
}

async function listFlows(kernel: Kernel): Promise<string> {
  const script = 'conntrack -L -f ipv4; conntrack -L -f ipv6'
  return (await kernel.run('dataPlane', ['sh', '-c', script])).stdout
}
