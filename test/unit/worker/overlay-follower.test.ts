// What a node says it has followed: only what kernel and resolver both have. And when the resolver is told which names.
import t, { type Test } from 'tap'
import { silentLogger } from '../../../proto/lib/log.ts'
import { type NetworkView, networkId, nodeId, type Stamp } from '../../../proto/objects/index.ts'
import type { OverlayState } from '../../../worker/network/overlay-state.ts'
import type { OverlayKnowledge } from '../../../worker/overlay-feed.ts'
import { OverlayFollower } from '../../../worker/overlay-follower.ts'
import { aServing, aView, pathsOf, servingNames } from '../../support/overlay-names.ts'
import { settle, VirtualClock } from '../../support/virtual-clock.ts'

interface KnowOptions {
  readonly isComplete: boolean
  readonly views: readonly NetworkView[]
}

class World {
  readonly clock = new VirtualClock()
  /** Stamps that the resolver was given and has not told of. */
  readonly asked: Stamp[] = []
  /** All that it was given. */
  readonly named: (readonly NetworkView[])[] = []
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
    resolver: {
      setViews: (views, stamp) => {
        this.named.push(views)
        this.asked.push(stamp)
      },
    },
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

  async know(
    indexes: Readonly<Record<string, number>>,
    { isComplete = true, views = [] }: Partial<KnowOptions> = {},
  ): Promise<void> {
    const stamps = Object.entries(indexes).map(
      ([id, index]) => [networkId(id), { epoch: 1, index }] as const,
    )
    const pathsStamp = { epoch: 1, index: 1 }
    const knowledge: OverlayKnowledge = {
      paths: pathsOf('a', 'b'),
      views: new Map(views.map((view) => [view.network.id, view])),
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

  /** Tasks that names lead to by what the resolver was given last; undefined: nothing yet. */
  get names(): readonly string[] | undefined {
    return this.named.at(-1)?.flatMap(servingNames)
  }

  /** The network `red`, and these tasks serve there. */
  async serve(index: number, ...tasks: readonly string[]): Promise<void> {
    await this.know(
      { red: index },
      {
        views: [
          aView(
            'red',
            tasks.map((id) => aServing(id)),
          ),
        ],
      },
    )
  }

  async fails(): Promise<void> {
    this.writing.shift()?.fail(new Error('no'))
    await settle()
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
  t.same(world.reached, { red: 5 }, 'the resolver does not have it yet')
  world.resolved()
  t.same(world.reached, { red: 7 })
})

t.test('a name comes once the kernel leads there, and goes at once', async (t) => {
  const world = aWorld(t)
  await world.serve(5, 'old')
  t.equal(world.names, undefined, 'a resolver that was there before answers as before')
  await world.written()
  world.resolved()
  t.same(world.names, ['old'])
  await world.serve(7, 'old', 'new')
  t.same(world.names, ['old'])
  await world.written()
  t.same(world.names, ['old', 'new'])
  await world.serve(9, 'new')
  t.same(world.names, ['new'], 'the kernel is not asked')
  world.resolved()
  t.same(world.reached, { red: 7 }, 'nor is it said that it has followed')
  await world.written()
  world.resolved()
  t.same(world.reached, { red: 9 })
})

t.test(
  'of what came meanwhile, the names of what the kernel has come, less what is gone',
  async (t) => {
    const world = aWorld(t)
    await world.serve(5, 'a')
    await world.written()
    await world.serve(6, 'a', 'b', 'c')
    await world.serve(7, 'a', 'c', 'd')
    await world.serve(8, 'c', 'd')
    t.same(world.names, [], 'a is gone, and nothing new is in the kernel')
    await world.written()
    t.same(world.names, ['c'], 'b is gone before it had a name')
    world.resolved()
    t.same(world.reached, { red: 6 }, 'said though there is newer that waits')
    await world.written()
    t.same(world.names, ['c', 'd'])
    world.resolved()
    t.same(world.reached, { red: 8 })
  },
)

t.test('a name that was gone in between waits again', async (t) => {
  const world = aWorld(t)
  await world.serve(5, 'a')
  await world.written()
  await world.serve(6)
  await world.serve(7, 'a')
  t.same(world.names, [])
  await world.written()
  t.same(world.names, [], 'the kernel has just let go of it')
  await world.written()
  t.same(world.names, ['a'])
})

t.test(
  'names wait 5 s for a kernel that fails, removals not at all, and nothing is said',
  async (t) => {
    const world = aWorld(t)
    await world.serve(5, 'a')
    await world.written()
    world.resolved()
    await world.serve(6, 'b')
    t.same(world.names, [])
    for (let i = 0; i < 4; i++) {
      await world.fails()
      await world.clock.advance(1_000)
    }
    t.same(world.names, [])
    await world.clock.advance(1_000)
    t.same(world.names, ['b'])
    world.resolved()
    t.same(world.reached, { red: 5 })
    await world.serve(7, 'c')
    t.same(world.names, [], 'the next waits anew')
    await world.fails()
    await world.clock.advance(1_000)
    await world.written()
    t.same(world.names, ['c'])
    world.resolved()
    t.same(world.reached, { red: 7 })
  },
)

t.test('a kernel that fails from the start keeps names back for 5 s', async (t) => {
  const world = aWorld(t)
  await world.serve(5, 'a')
  await world.clock.advance(4_999)
  t.equal(world.names, undefined)
  await world.clock.advance(1)
  t.same(world.names, ['a'])
  await world.written()
  t.equal(world.named.length, 1, 'told once')
})

t.test('nobody is led to a task on a node that no way leads to', async (t) => {
  const world = aWorld(t)
  const views = [aView('red', [aServing('near'), aServing('far', { nodeId: nodeId('z') })])]
  await world.know({ red: 5 }, { views })
  t.same(world.states.at(-1)?.views.flatMap(servingNames), ['near'])
  await world.written()
  t.same(world.names, ['near'])
})

t.test('what comes while the kernel is written is written next, the last of it', async (t) => {
  const world = aWorld(t)
  await world.know({ red: 5 })
  for (const red of [6, 7, 8]) await world.know({ red })
  t.equal(world.writing.length, 1)
  await world.written()
  world.resolved()
  t.same(world.reached, { red: 5 })
  t.equal(world.writing.length, 1)
  await world.written()
  world.resolved()
  t.same(world.reached, { red: 8 })
})

t.test('a kernel that could not be written is written again', async (t) => {
  const world = aWorld(t)
  await world.know({ red: 5 })
  await world.fails()
  t.equal(world.reached, undefined)
  await world.clock.advance(1_000)
  await world.written()
  world.resolved()
  t.same(world.reached, { red: 5 })
})

t.test('what is not complete touches nothing', async (t) => {
  const world = aWorld(t)
  await world.know({ red: 5 }, { isComplete: false })
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

t.test('of a local network kernel and resolver get what is on this node', async (t) => {
  const world = aWorld(t)
  const wide = aView('red', [aServing('x'), aServing('y', { nodeId: nodeId('b') })])
  const other = aView('blue', [aServing('u'), aServing('v', { nodeId: nodeId('b') })])
  const near: NetworkView = { ...other, network: { ...other.network, vni: 0, isLocal: true } }
  const views = [wide, near]
  await world.know({ red: 1, blue: 1 }, { views })
  const tasks = () => world.states.at(-1)?.views.map((view) => view.tasks.map((one) => one.taskId))
  t.same(tasks(), [['x', 'y'], ['u']])
  await world.written()
  t.same(world.names, ['x', 'y', 'u'])
  const before = world.states.at(-1)?.views
  await world.know({ red: 2, blue: 1 }, { views })
  t.equal(world.states.at(-1)?.views[1], before?.[1], 'what did not change is the same object')
})
