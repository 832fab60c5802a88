// Tasks that come and go on three nodes while rows are deleted by hand: no payload ever reaches the wrong task, and the
// kernel equals the desired state soon after the last damage, with nobody asking for it. SEED=N repeats a run.
import t from 'tap'
import { randomInt, seededRandom } from '../../proto/lib/random.ts'
import type { TaskEndpoint } from '../../proto/objects/overlay.ts'
import { eventually } from '../support/netns.ts'
import { aNetwork, aServiceEndpoint, aTaskEndpoint, aView } from '../support/overlay-builders.ts'
import {
  anOverlayWorld,
  joinNetworks,
  type OverlayContainer,
  type OverlayWorld,
} from '../support/overlay-world.ts'
import { probeIn, serve } from '../support/talk.ts'

t.setTimeout(300_000)

const steps = 60
const aliveMax = 8
const addresses = Array.from({ length: 10 }, (_, index) => `10.1.0.${20 + index}`)
const service = aServiceEndpoint('t', { vips: ['10.1.0.2'] })

interface Life {
  readonly endpoint: TaskEndpoint
  readonly address: string
  readonly container: OverlayContainer
}

const port = 9
/** While tasks come and go an answer may be lost; in the end it may be late only. */
const briefMs = 500
const patienceMs = 30_000

class Churn {
  readonly world: OverlayWorld
  readonly clients: readonly OverlayContainer[]
  /** What arrived at others than it was meant for. */
  readonly wrong: string[] = []
  lives: readonly Life[] = []
  answered = 0
  #count = 0

  constructor(world: OverlayWorld, clients: readonly OverlayContainer[]) {
    this.world = world
    this.clients = clients
  }

  async tell(lives: readonly Life[]): Promise<void> {
    const fixed = [1, 2, 3].map((node) => aTaskEndpoint(`c.${node}`, node, [`10.1.0.1${node}`]))
    const tasks = [...fixed, ...lives.map(({ endpoint }) => endpoint)]
    await this.world.tell([aView(aNetwork(1), { tasks, services: [service] })])
    this.lives = lives
  }

  /** A task under an address that was somebody else's a moment ago. */
  async begin(address: string, on: number): Promise<void> {
    this.#count += 1
    const id = `t.${this.#count}`
    const networks = [[1, `${address}/24`]] as const
    const container = await joinNetworks(this.world, { id, on, networks })
    await serve(container.process.enter, `udp:${port}`, id)
    const endpoint = aTaskEndpoint(id, on, [address])
    await this.tell([...this.lives, { endpoint, address, container }])
  }

  async end(life: Life): Promise<void> {
    await this.tell(this.lives.filter((other) => other !== life))
    await this.hear(life)
    await life.container.process.kill()
    await life.container.node.network.detach(life.container.id)
  }

  /** Looks what arrived at the task. */
  async hear({ container, endpoint }: Life): Promise<void> {
    const heard = await (await probeIn(container.process.enter)).heard()
    const others = heard.filter((words) => words !== endpoint.taskId)
    this.wrong.push(...others.map((words) => `${words} at ${endpoint.taskId}`))
  }

  /** Each client asks each task, in its name; what is answered is counted. */
  async probe(withinMs: number): Promise<void> {
    const lives = this.lives
    const tries = this.clients.map(async ({ process }) => {
      const probe = await probeIn(process.enter)
      const questions = lives.map(({ address, endpoint }) => {
        return { kind: 'udp', to: address, port, words: endpoint.taskId } as const
      })
      const answers = await probe.ask(questions, withinMs)
      const right = answers.filter((text, at) => text.split(' ')[0] === lives[at]?.endpoint.taskId)
      this.answered += right.length
    })
    await Promise.all(tries)
  }
}

const damages = [
  'ip route flush table main proto boot',
  'ip neigh flush dev vx100001 nud permanent',
  'ip link del vx100001',
  'bridge fdb del 02:00:00:00:01:01 dev vx100001 self; bridge fdb del 02:00:00:00:01:02 dev vx100001 self; true',
  'nft flush ruleset',
  'nft flush map inet tsswarm vips',
  'nft flush set inet tsswarm same_network',
]

t.test('tasks come and go, rows are lost, and no payload goes astray', async (t) => {
  const world = await anOverlayWorld(t)
  for (const { network } of world.nodes) {
    const stopping = new AbortController()
    const running = network.run(stopping.signal)
    t.teardown(() => {
      stopping.abort()
      return running
    })
  }
  await world.tell([aView(aNetwork(1))])
  const clients = await Promise.all(
    [1, 2, 3].map((on) =>
      joinNetworks(world, { id: `c.${on}`, on, networks: [[1, `10.1.0.1${on}/24`]] }),
    ),
  )
  const churn = new Churn(world, clients)
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
  t.comment(`SEED=${seed}`)
  const random = seededRandom(seed)
  const pick = <T>(list: readonly T[]): T => {
    const one = list[randomInt(random, list.length)]
    if (one === undefined) throw new Error('nothing to pick from')
    return one
  }
  for (let step = 0; step < steps; step++) {
    const free = addresses.filter(
      (address) => !churn.lives.some((life) => life.address === address),
    )
    const isFull = churn.lives.length >= aliveMax
    const change =
      isFull || (churn.lives.length > 3 && randomInt(random, 2) === 0)
        ? churn.end(pick(churn.lives))
        : churn.begin(pick(free), 1 + randomInt(random, 3))
    if (step % 6 === 5) {
      await world.bench.attempt(pick(world.nodes).dataPlane, ['sh', '-c', pick(damages)])
    }
    await change
    if (step % 3 === 0) await churn.probe(briefMs)
  }
  let found: readonly string[] = []
  const isWhole = async (): Promise<boolean> => {
    found = (await Promise.all(world.nodes.map(({ network }) => network.audit()))).flat()
    return found.length === 0
  }
  await eventually(isWhole, 'whole again', 60_000).catch(() => {})
  const device = ['ip', '-o', 'link', 'show', 'vx100001']
  const [numberBefore] = (await world.bench.run(world.node(1).dataPlane, device)).split(':')
  await world.bench.run(world.node(1).dataPlane, ['ip', 'link', 'del', 'vx100001'])
  await eventually(isWhole, 'every kernel is as it should be', 60_000).catch(() => {})
  t.same(found, [], 'every kernel is as it should be')
  // Healing may be quicker than any look at the damage.
  const [numberAfter] = (await world.bench.run(world.node(1).dataPlane, device)).split(':')
  t.not(numberAfter, numberBefore, 'the device was made anew')
  const before = churn.answered
  await churn.probe(patienceMs)
  t.equal(churn.answered - before, 3 * churn.lives.length, 'each task answers each client')
  t.ok(before > 0)
  await Promise.all(churn.lives.map((life) => churn.hear(life)))
  t.same(churn.wrong, [], 'nothing went astray')
})
