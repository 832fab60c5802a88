// Makes the kernel forget tracked connections (flows.ts says which).
import { type Forgotten, strayFlows, tracked } from './flows.ts'
import type { Kernel } from './kernel.ts'
import type { CompiledOverlay } from './pieces.ts'

/** Looking for each of more than these costs more than listing all there are once. */
const soughtMax = 8

export async function forgetFlows(kernel: Kernel, forgotten: readonly Forgotten[]): Promise<void> {
  const isMany = forgotten.length > soughtMax
  const present = isMany ? tracked(await listFlows(kernel), forgotten) : forgotten
  if (present.length === 0) return
  const script = 'for flows; do conntrack -D $flows; done'
  const args = present.map((one) => one.join(' '))
  await kernel.runOften('dataPlane', ['sh', '-c', script, 'sh', ...args])
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
