// The volumes that are one slot's alone, and the node that has them: its next task goes there. What the slot's tasks tell
// is enough, so a new leader knows it too.
import type { NodeId, Place, Service, Task } from '../../proto/objects/index.ts'
import { isSlotVolume } from '../../proto/spec/mount-spec.ts'
import type { ServiceView } from './service-view.ts'
import type { Slot } from './slot.ts'

const none: readonly string[] = []

/** Names of the volumes that the slot's tasks have to themselves. */
export function slotVolumesOf(service: Service, place: Place): readonly string[] {
  const mounts = service.spec.task.container.mounts.filter(isSlotVolume)
  if (mounts.length === 0) return none
  return [...new Set(mounts.map(({ source }) => volumeName(source, service, place)))]
}

/**
 * The node whose volumes the slot's next task needs; undefined: none of its tasks got so far as to have any, or they were
 * others.
 */
export function volumeHome(slot: Slot, { service }: ServiceView): NodeId | undefined {
  const volumes = service === undefined ? none : slotVolumesOf(service, slot.place)
  if (volumes.length === 0) return undefined
  const had = slot.tasks.findLast(
    (task) =>
      (task.volumeNodeId !== undefined || hadVolumes(task)) &&
      task.slotVolumes.some((name) => volumes.includes(name)),
  )
  return had?.volumeNodeId ?? had?.nodeId
}

/** Whether its container was made, and its volumes with it. */
function hadVolumes({ nodeId, containerId, ranAtMs }: Task): boolean {
  return nodeId !== undefined && (containerId !== '' || ranAtMs > 0)
}

/** As the node names it: these are the placeholders that are the same on every node. */
function volumeName(source: string, { id, spec }: Service, place: Place): string {
  return source.replace(/\{\{-?\s*(.*?)\s*-?\}\}/g, (whole, expression: string) => {
    const label =
      /^(?:index\s+\.Service\.Labels\s+["`]([^"`]*)["`]|\.Service\.Labels\.(\w+))$/.exec(expression)
    if (label !== null) return spec.labels[label[1] ?? label[2] ?? ''] ?? ''
    if (expression === '.Service.ID') return id
    if (expression === '.Service.Name') return spec.name
    return expression === '.Task.Slot' ? String(place) : whole
  })
}
