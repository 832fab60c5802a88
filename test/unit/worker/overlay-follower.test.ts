// What a node says it has followed: only what kernel and resolver both have.
import t, { type Test } from 'tap'
import { silentLogger } from '../../../proto/lib/log.ts'
import { networkId, nodeId, type Stamp } from '../../../proto/objects/index.ts'
import type { OverlayState } from '../../../worker/network/overlay-state.ts'
import type { OverlayKnowledge } from '../../../worker/overlay-feed.ts'
import { OverlayFollower } from '../../../worker/overlay-follower.ts'
import { settle, VirtualClock } from '../../support/virtual-clock.ts'

class World {
  readonly clock = new VirtualClock()
  /** Stamps that the resolver was given and has not told of. */
  readonly asked: Stamp[] = []
  readonly states: OverlayState[] = []
  /** Calls of the kernel that are under way. */
  readonly writing: { readonly done: () => void; readonly fail: (err: Error) => void }[] = []
  rises = 0
  readonly follower = new OverlayFollower({
    nodeId: nodeId('a'),
    network: {
      setOverlay: (state) => {
        this.states.push(state)
        return new Promise((resolve, reject) => this.writing.push({ done: resolve, fail: reject }))
      },
    },
    resolver: { setViews: (_views, stamp) => this.asked.push(stamp) },
    clock: this.clock,
    log: silentLogger,
  })
  readonly #life = new AbortController()
  readonly #running = this.follower.run(this.#life.signal)

  constructor() {
    this.follower.onRise(() => {
      this.rises += 1
    })
  }

  async know(indexes: Readonly<Record<string, number>>, isComplete = true): Promise<void> {
    const stamps = Object.entries(indexes).map(
      ([id, index]) => [networkId(id), { epoch: 1, index }] as const,
    )
    const pathsStamp = { epoch: 1, index: 1 }
    const knowledge: OverlayKnowledge = {
      paths: [],
      views: new Map(),
      pathsStamp,
      stamps: new Map(stamps),
      isComplete,
    }
    this.follower.follow(knowledge)
    await settle()
  }

  confirm(id: string, at: number, until: number): void {
    this.follower.confirm(networkId(id), { epoch: 1, index: at }, { epoch: 1, index: until })
  }

  async written(): Promise<void> {
    this.writing.shift()?.done()
    await settle()
  }

  resolved(): void {
    const stamp = this.asked.pop()
    if (stamp !== undefined) this.follower.resolverReached(stamp)
    this.asked.length = 0
  }

  get reached(): Readonly<Record<string, number>> | undefined {
    const ack = this.follower.current()
    return ack && Object.fromEntries(ack.networks.map((one) => [one.networkId, one.raftIndex]))
  }

  async end(): Promise<void> {
    this.#life.abort()
    while (this.writing.length > 0) await this.written()
    await this.clock.advance(2_000)
    await this.#running
  }
}

function aWorld(t: Test): World {
  const world = new World()
  t.teardown(() => world.end())
  return world
}

t.test('nothing is said before both have it, and each network has its own index', async (t) => {
  const world = aWorld(t)
  await world.know({ red: 5, blue: 9 })
  t.equal(world.reached, undefined)
  await world.written()
  t.equal(world.reached, undefined)
  world.resolved()
  t.same(world.reached, { red: 5, blue: 9 })
  t.equal(world.rises, 2)
})

t.test('the slower of the two counts', async (t) => {
  const world = aWorld(t)
  await world.know({ red: 5 })
  await world.written()
  world.resolved()
  await world.know({ red: 7 })
  world.resolved()
  t.same(world.reached, { red: 5 }, 'the kernel does not have it yet')
  await world.written()
  t.same(world.reached, { red: 7 })
  await world.know({ red: 8 })
  await world.written()
  t.same(world.reached, { red: 7 }, 'the resolver does not have it yet')
})

t.test('what comes while the kernel is written is written next, the last of it', async (t) => {
  const world = aWorld(t)
  await world.know({ red: 5 })
  for (const red of [6, 7, 8]) await world.know({ red })
  world.resolved()
  t.equal(world.writing.length, 1)
  await world.written()
  t.same(world.reached, { red: 5 })
  t.equal(world.writing.length, 1)
  await world.written()
  t.same(world.reached, { red: 8 })
})

t.test('a kernel that could not be written is written again', async (t) => {
  const world = aWorld(t)
  await world.know({ red: 5 })
  world.resolved()
  world.writing.shift()?.fail(new Error('no'))
  await settle()
  t.equal(world.reached, undefined)
  await world.clock.advance(1_000)
  await world.written()
  t.same(world.reached, { red: 5 })
})

t.test('what is not complete touches nothing', async (t) => {
  const world = aWorld(t)
  await world.know({ red: 5 }, false)
  t.equal(world.writing.length + world.asked.length, 0)
})

t.test('a resolver that tells of what it was not given here is not believed', async (t) => {
  const world = aWorld(t)
  await world.know({ red: 5 })
  await world.written()
  world.follower.resolverReached({ epoch: 1, index: 99 })
  t.equal(world.reached, undefined)
})

t.test('a node that leaves has no way to others', async (t) => {
  const world = aWorld(t)
  await world.know({ red: 5 })
  const forgotten = world.follower.forget()
  t.same(world.states.at(-1), { nodeId: 'a', paths: [], views: [] })
  world.writing.pop()?.fail(new Error('busy'))
  await forgotten
  t.same(world.asked.at(-1), { epoch: 0, index: 0 })
})

t.test('what did not change is followed up to when it was confirmed', async (t) => {
  const world = aWorld(t)
  await world.know({ red: 5, blue: 6 })
  world.confirm('red', 5, 8)
  await world.clock.advance(200)
  t.equal(world.reached, undefined, 'nothing is applied yet')
  await world.written()
  world.resolved()
  t.same(world.reached, { red: 8, blue: 6 })
  const { rises } = world
  for (const until of [9, 10, 9]) world.confirm('red', 5, until)
  t.equal(world.rises, rises)
  await world.clock.advance(200)
  t.equal(world.rises, rises + 1, 'said once')
  t.same(world.reached, { red: 10, blue: 6 })
  await world.know({ red: 12, blue: 6 })
  world.confirm('red', 12, 14)
  t.same(world.reached, { red: 5, blue: 6 }, 'the newer state is not in the kernel')
  await world.written()
  world.resolved()
  t.same(world.reached, { red: 14, blue: 6 })
  await world.know({ blue: 6 })
  await world.know({ red: 12, blue: 6 })
  for (let i = 0; i < 2; i++) await world.written()
  world.resolved()
  t.same(world.reached, { red: 12, blue: 6 }, 'of a network that was let go nothing is kept')
})
