// A Docker daemon as the benchmarks see it (BenchClient): what they ask, in terms of Docker's API, and what its answers
// say. Not the daemons themselves (docker-cluster.ts).
import { z } from 'zod'
import { hasCode } from '../../../proto/errors.ts'
import { systemClock, wait } from '../../../proto/lib/clock.ts'
import type { BenchClient } from '../cluster.ts'
import type { DockerApi } from './docker-api.ts'

const nodesSchema = z.array(
  z.object({
    ID: z.string(),
    Description: z.object({ Hostname: z.string().optional() }).optional(),
    Status: z.object({ State: z.string() }),
    ManagerStatus: z
      .object({ Leader: z.boolean().optional(), Reachability: z.string().optional() })
      .optional(),
  }),
)
const tasksSchema = z.array(
  z.object({
    NodeID: z.string().optional(),
    DesiredState: z.string(),
    Status: z.object({ State: z.string() }),
  }),
)
const servicesSchema = z.array(
  z.object({
    Spec: z.object({ Name: z.string() }),
    ServiceStatus: z.object({ RunningTasks: z.number().optional() }).optional(),
  }),
)

const updateSchema = z.object({
  UpdateStatus: z.object({ State: z.string() }).optional(),
})

const infoSchema = z.object({ Swarm: z.object({ NodeID: z.string() }) })

/** As long as Docker may be without a leader, and half as long again. */
const retryMs = 60_000

/** Nodes as the manager tells them. */
export interface DockerNode {
  readonly id: string
  readonly host: string
  readonly state: string
  readonly leader: boolean
  /** Undefined for a worker. */
  readonly reachability: string | undefined
}

/** Reads the answer to GET /nodes. Errors: those of zod for anything else. */
export function parseNodes(answer: unknown): readonly DockerNode[] {
  return nodesSchema.parse(answer).map((node) => ({
    id: node.ID,
    host: node.Description?.Hostname ?? '',
    state: node.Status.State,
    leader: node.ManagerStatus?.Leader ?? false,
    reachability: node.ManagerStatus?.Reachability,
  }))
}

/** Whether that many nodes are ready, the managers among them reachable. */
export function isWhole(nodes: readonly DockerNode[], managers: number, workers: number): boolean {
  const ready = nodes.filter(({ state }) => state === 'ready')
  const reachable = ready.filter(({ reachability }) => reachability === 'reachable')
  return ready.length === managers + workers && reachable.length === managers
}

/** Ids of the nodes whose tasks run and shall run, one for each task, from the answer to GET /tasks. */
export function runningNodeIds(answer: unknown): readonly string[] {
  return tasksSchema
    .parse(answer)
    .filter((task) => task.DesiredState === 'running' && task.Status.State === 'running')
    .map((task) => task.NodeID ?? '')
}

/** Running tasks of the service of that very name, from the answer to GET /services?status=true. */
export function runningOf(answer: unknown, name: string): number {
  const service = servicesSchema.parse(answer).find(({ Spec }) => Spec.Name === name)
  return service?.ServiceStatus?.RunningTasks ?? 0
}

/** What `docker service create --replicas N lab/hello` sends. */
export function serviceBody(name: string, replicas: number): object {
  return {
    Name: name,
    TaskTemplate: { ContainerSpec: { Image: 'lab/hello:latest' } },
    Mode: { Replicated: { Replicas: replicas } },
  }
}

/** Needs a manager; `hosts` names the nodes by id, as they do not change under a benchmark. */
export function dockerClient(
  api: Pick<DockerApi, 'get' | 'post' | 'remove'>,
  hosts: ReadonlyMap<string, string>,
): BenchClient {
  const nodes = async (): Promise<readonly DockerNode[]> => parseNodes(await api.get('/nodes'))
  return {
    createService: async (name, replicas, { once = false, timeoutMs = 10_000 } = {}) => {
      const body = serviceBody(name, replicas)
      if (once) await api.post('/services/create', body, timeoutMs)
      else await untilCreated(api, body)
    },
    removeService: (name) => api.remove(`/services/${name}`),
    serviceNames: async () =>
      servicesSchema.parse(await api.get('/services')).map(({ Spec }) => Spec.Name),
    runningCount: async (service) => {
      const filters = encodeURIComponent(JSON.stringify({ name: [service] }))
      return runningOf(await api.get(`/services?status=true&filters=${filters}`), service)
    },
    updateState: async (name) =>
      updateSchema.parse(await api.get(`/services/${name}`)).UpdateStatus?.State,
    runningHosts: async () => {
      const filters = encodeURIComponent(JSON.stringify({ 'desired-state': ['running'] }))
      const ids = runningNodeIds(await api.get(`/tasks?filters=${filters}`))
      return ids.map((id) => hosts.get(id) ?? '')
    },
    downHosts: async () =>
      (await nodes()).filter(({ state }) => state === 'down').map(({ host }) => host),
    leader: async () => (await nodes()).find(({ leader }) => leader)?.host,
    leads: () => leadsItself(api),
  }
}

/** A manager without a leader refuses the list of nodes, one that leads has it at hand. */
async function leadsItself(api: Pick<DockerApi, 'get'>): Promise<boolean> {
  const { Swarm } = infoSchema.parse(await api.get('/info'))
  try {
    const nodes = parseNodes(await api.get('/nodes'))
    return nodes.some(({ id, leader }) => leader && id === Swarm.NodeID)
  } catch (err) {
    if (hasCode(err, 'UNAVAILABLE')) return false
    throw err
  }
}

/**
 * Docker's API has no request id: that the name is taken says that an earlier try went through. That may be one of
 * dockerd itself, which repeats what it forwarded to a leader that is gone; so no name is used twice at a time.
 */
async function untilCreated(api: Pick<DockerApi, 'post'>, body: object): Promise<void> {
  const endsAtMs = systemClock.monotonicMs() + retryMs
  while (true) {
    try {
      await api.post('/services/create', body)
      return
    } catch (err) {
      if (hasCode(err, 'NAME_CONFLICT')) return
      if (!hasCode(err, 'UNAVAILABLE') || systemClock.monotonicMs() > endsAtMs) throw err
    }
    await wait(systemClock, 50)
  }
}
