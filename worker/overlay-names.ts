// Which names may be answered while the kernel is still on its way to a newer state of the overlay: what is gone is gone at
// once, what is new comes once packets get there. Pure. When each is given is overlay-follower.ts.
import { isSameValue } from '../proto/lib/same-value.ts'
import type {
  NetworkView,
  NodePath,
  ServiceEndpoint,
  TaskEndpoint,
} from '../proto/objects/index.ts'

/** What is known of one network to be in the kernel. */
interface Reachable {
  readonly services: ReadonlyMap<string, ServiceEndpoint>
  /** With addresses that connections are led to. */
  readonly serving: ReadonlyMap<string, TaskEndpoint>
}

/**
 * The views without what none of `bases` has: a task that did not serve there, or had other addresses, has its names and
 * no address; a virtual address that was not there is no answer. A view that lost nothing is the same object. O(what is
 * in views that are in no base).
 */
export function namesWithin(
  views: readonly NetworkView[],
  bases: readonly (readonly NetworkView[])[],
): readonly NetworkView[] {
  const known = bases.map((base) => new Map(base.map((view) => [`${view.network.id}`, view])))
  return views.map((view) => {
    const before = known.map((base) => base.get(view.network.id)).filter((one) => one !== undefined)
    return before.includes(view) ? view : viewWithin(view, before.map(reachable))
  })
}

/** The views with tasks that serve only where the way to their node is known. Unchanged ones are the same objects. */
export function viewsOnPaths(
  views: readonly NetworkView[],
  paths: readonly NodePath[],
): readonly NetworkView[] {
  const nodes = new Set<string>(paths.map(({ nodeId }) => nodeId))
  const isCut = ({ isServing, nodeId }: TaskEndpoint): boolean => isServing && !nodes.has(nodeId)
  return views.map((view) => {
    if (!view.tasks.some(isCut)) return view
    return { ...view, tasks: view.tasks.map((task) => (isCut(task) ? silent(task) : task)) }
  })
}

function reachable({ services, tasks }: NetworkView): Reachable {
  const serving = tasks.filter(({ isServing }) => isServing)
  return {
    services: new Map(services.map((service) => [service.serviceId, service])),
    serving: new Map(serving.map((task) => [task.taskId, task])),
  }
}

function viewWithin(view: NetworkView, bases: readonly Reachable[]): NetworkView {
  const services = view.services.map((service) => serviceWithin(service, bases))
  const tasks = view.tasks.map((task) => taskWithin(task, bases))
  const isWhole =
    services.every((service, i) => service === view.services[i]) &&
    tasks.every((task, i) => task === view.tasks[i])
  return isWhole ? view : { ...view, services, tasks }
}

function taskWithin(task: TaskEndpoint, bases: readonly Reachable[]): TaskEndpoint {
  if (!task.isServing) return task
  const isThere = bases.some(({ serving }) => {
    const before = serving.get(task.taskId)
    return (
      before === task ||
      (before?.nodeId === task.nodeId && isSameValue(before.addresses, task.addresses))
    )
  })
  return isThere ? task : silent(task)
}

/** Known, as its own container asks by it and nobody outside may answer for its names, and led to by none of them. */
function silent(task: TaskEndpoint): TaskEndpoint {
  return { ...task, isServing: false }
}

/** With a virtual address that is not there yet, its name goes on leading where it led. */
function serviceWithin(service: ServiceEndpoint, bases: readonly Reachable[]): ServiceEndpoint {
  const before = bases
    .map(({ services }) => services.get(service.serviceId))
    .filter((one) => one !== undefined)
  const vips = service.vips.filter((vip) => before.some((one) => one.vips.includes(vip)))
  if (vips.length === service.vips.length) return service
  const mode = vips.length > 0 ? service.mode : (before[0]?.mode ?? service.mode)
  return { ...service, mode, vips }
}
