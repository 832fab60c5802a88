// A reader of a subject: in order, over losses, doubles, reordering, new leaders, restarted managers and new epochs.
import fc from 'fast-check'
import t from 'tap'
import {
  type FeedEvent,
  type FeedState,
  type Heard,
  isFetchDue,
  newFeed,
  stepFeed,
  waitingMax,
} from '../../../../proto/bus/feed.ts'
import type { Stamp } from '../../../../proto/objects/index.ts'

/** A subject of the tests: keys with values. */
type Whole = Readonly<Record<string, number>>
interface Change {
  readonly put: Whole
  readonly removed: readonly string[]
}

const at = (index: number, epoch = 1): Stamp => ({ epoch, index })

class Reader {
  state: FeedState<Change> = newFeed
  content: Whole | undefined
  applied = 0

  hear(event: FeedEvent<Change, Whole>): void {
    const { state, actions } = stepFeed(this.state, event)
    this.state = state
    for (const action of actions) {
      this.applied += 1
      if (action.kind === 'replace') this.content = action.whole
      else if (this.content === undefined) throw new Error('a change came before the first state')
      else {
        const next = { ...this.content, ...action.change.put }
        for (const key of action.change.removed) delete next[key]
        this.content = next
      }
    }
  }

  get isDue(): boolean {
    return isFetchDue(this.state)
  }
}

function aReader(index: number, content: Whole = {}): Reader {
  const reader = new Reader()
  reader.hear({ kind: 'asking' })
  reader.hear({ kind: 'whole', stamp: at(index), asOf: at(index), whole: content })
  return reader
}

function aChange(
  [previous, first, stamp]: readonly [number, number, number],
  put: Whole,
): Heard<Change, Whole> {
  const change = { put, removed: [] }
  return {
    kind: 'change',
    previous: at(previous),
    first: at(first),
    stamp: at(stamp),
    asOf: at(stamp),
    change,
  }
}

t.test('a reader asks for the state before anything else', async (t) => {
  const reader = new Reader()
  t.ok(reader.isDue)
  reader.hear(aChange([3, 5, 5], { a: 1 }))
  t.equal(reader.content, undefined, 'a change has nothing to stand on')
  reader.hear({ kind: 'asking' })
  reader.hear({ kind: 'whole', stamp: at(3), asOf: at(4), whole: { b: 2 } })
  t.strictSame(reader.content, { b: 2, a: 1 }, 'what came too early follows the state')
  t.notOk(reader.isDue)
})

t.test('changes are taken in order, once each', async (t) => {
  const reader = aReader(3)
  reader.hear(aChange([3, 5, 5], { a: 1 }))
  reader.hear(aChange([3, 5, 5], { a: 1 }))
  reader.hear(aChange([5, 6, 8], { a: 2 }))
  t.strictSame(reader.content, { a: 2 })
  t.equal(reader.applied, 3)
  t.notOk(reader.isDue)
})

t.test('a lost change is a gap, seen at the next one and at a tip', async (t) => {
  const byChange = aReader(3)
  byChange.hear(aChange([5, 8, 8], { a: 2 }))
  t.ok(byChange.isDue)
  t.strictSame(byChange.content, {})
  const byTip = aReader(3)
  byTip.hear({ kind: 'tip', stamp: at(5), asOf: at(9) })
  t.ok(byTip.isDue)
  byTip.hear({ kind: 'asking' })
  byTip.hear({ kind: 'whole', stamp: at(5), asOf: at(7), whole: { a: 1 } })
  t.notOk(byTip.isDue)
})

t.test('a reordered change fits once the one before it has come', async (t) => {
  const reader = aReader(3)
  reader.hear(aChange([5, 8, 8], { a: 2 }))
  reader.hear(aChange([3, 5, 5], { a: 1 }))
  t.strictSame(reader.content, { a: 2 })
  t.notOk(reader.isDue)
})

t.test('a reader in the middle of what travels together fetches', async (t) => {
  const reader = aReader(5, { a: 1 })
  reader.hear(aChange([3, 4, 8], { b: 1 }))
  t.strictSame(reader.content, { a: 1 }, 'a may have gone back to what it was at 3')
  t.ok(reader.isDue)
})

t.test('an old state and one of an old epoch change nothing', async (t) => {
  const reader = aReader(9, { a: 9 })
  reader.hear({ kind: 'whole', stamp: at(5), asOf: at(7), whole: { a: 5 } })
  t.strictSame(reader.content, { a: 9 })
  reader.hear({ kind: 'whole', stamp: at(2, 2), asOf: at(2, 2), whole: { a: 2 } })
  t.strictSame(reader.content, { a: 2 }, 'a new epoch begins with smaller indexes')
  reader.hear({ kind: 'whole', stamp: at(50, 1), asOf: at(60, 1), whole: { a: 50 } })
  t.strictSame(reader.content, { a: 2 })
  t.notOk(reader.isDue, 'the old history is not missed')
})

t.test('an answer older than what was heard of does not settle it', async (t) => {
  const reader = aReader(3)
  reader.hear({ kind: 'tip', stamp: at(9), asOf: at(9) })
  reader.hear({ kind: 'asking' })
  reader.hear({ kind: 'unchanged', stamp: at(3), asOf: at(5) })
  t.ok(reader.isDue)
  reader.hear({ kind: 'unchanged', stamp: at(3), asOf: at(12) })
  t.notOk(reader.isDue, 'the tip was of a manager that does not know when the subject changed last')
})

t.test('a state that is the same mends what went wrong here, without going back', async (t) => {
  const reader = aReader(3, { a: 1 })
  reader.hear({ kind: 'tip', stamp: at(3), asOf: at(9) })
  reader.content = { a: 7 }
  reader.hear({ kind: 'whole', stamp: at(3), asOf: at(5), whole: { a: 1 } })
  t.strictSame(reader.content, { a: 1 })
  t.strictSame(reader.state.until, at(9))
})

t.test('doubt lasts until it was asked for', async (t) => {
  const reader = aReader(3)
  reader.hear({ kind: 'doubt' })
  t.ok(reader.isDue)
  reader.hear({ kind: 'asking' })
  t.notOk(reader.isDue)
})

t.test('what comes too early is bounded, and not forgotten', async (t) => {
  const reader = aReader(1)
  for (let index = 10; index < 10 + 3 * waitingMax; index++) {
    reader.hear(aChange([index - 1, index, index], { a: index }))
  }
  t.ok(reader.state.waiting.length <= waitingMax)
  const last = 9 + 3 * waitingMax
  reader.hear({ kind: 'asking' })
  reader.hear({ kind: 'whole', stamp: at(last), asOf: at(last), whole: { a: last } })
  t.strictSame(reader.content, { a: last })
  t.equal(reader.state.waiting.length, 0)
})

/** The true history: the content after each index, and when it last changed. */
class History {
  readonly contents: Whole[] = [{}]
  readonly lasts: number[] = [0]

  get index(): number {
    return this.contents.length - 1
  }

  commit(key: string | undefined, value: number): void {
    const now = this.contents.at(-1) ?? {}
    const next = key === undefined ? now : change(now, key, value)
    this.contents.push(next)
    this.lasts.push(key === undefined ? (this.lasts.at(-1) ?? 0) : this.index)
  }
}

/** 0 takes the key away. */
function change(now: Whole, key: string, value: number): Whole {
  const { [key]: _, ...rest } = now
  return value === 0 ? rest : { ...rest, [key]: value }
}

/** A manager: it has applied the history up to an index, and knows its subject's changes since its start. */
class Manager {
  readonly #history: History
  applied: number
  #base: number
  #told: { content: Whole; stamp: number } | undefined
  #first: number | undefined

  constructor(history: History) {
    this.#history = history
    this.applied = history.index
    this.#base = this.applied
  }

  get last(): number {
    return Math.max(this.#history.lasts[this.applied] ?? 0, this.#base)
  }

  get content(): Whole {
    return this.#history.contents[this.applied] ?? {}
  }

  restart(): void {
    this.#base = this.applied
    this.#told = undefined
  }

  advance(): void {
    while (this.applied < this.#history.index) {
      this.applied += 1
      if (this.#history.lasts[this.applied] === this.applied) this.#first ??= this.applied
    }
  }

  lead(): void {
    this.advance()
    this.#told = { content: this.content, stamp: this.last }
    this.#first = undefined
  }

  follow(): void {
    this.#told = undefined
  }

  /** `keyed`: what became of every key that was touched, which fits also in the middle; else what differs from what was told. */
  publish(keyed: boolean): Heard<Change, Whole> | undefined {
    const [told, first] = [this.#told, this.#first]
    if (told === undefined || first === undefined) return undefined
    this.#first = undefined
    if (keyed) return this.#publishKeyed(told.stamp, first)
    const put = Object.entries(this.content).filter(([key, value]) => told.content[key] !== value)
    const removed = Object.keys(told.content).filter((key) => !(key in this.content))
    this.#told = { content: this.content, stamp: this.last }
    return {
      kind: 'change',
      previous: at(told.stamp),
      first: at(first),
      stamp: at(this.last),
      asOf: at(this.applied),
      change: { put: Object.fromEntries(put), removed },
    }
  }

  #publishKeyed(previous: number, first: number): Heard<Change, Whole> {
    const { contents } = this.#history
    const touched = new Set<string>()
    for (let index = first; index <= this.applied; index++) {
      const [was, is] = [contents[index - 1] ?? {}, contents[index] ?? {}]
      for (const key of ['a', 'b']) if (was[key] !== is[key]) touched.add(key)
    }
    const { content } = this
    const put = Object.fromEntries(Object.entries(content).filter(([key]) => touched.has(key)))
    const removed = [...touched].filter((key) => !(key in content))
    this.#told = { content, stamp: this.last }
    const [stamp, asOf] = [at(this.last), at(this.applied)]
    const change = { put, removed }
    return { kind: 'change', previous: at(previous), first: stamp, stamp, asOf, change }
  }

  tip(): Heard<Change, Whole> | undefined {
    if (this.#told === undefined || this.#first !== undefined) return undefined
    return { kind: 'tip', stamp: at(this.#told.stamp), asOf: at(this.applied) }
  }

  answer(known: Stamp | undefined): FeedEvent<Change, Whole> {
    const [stamp, asOf] = [at(this.last), at(this.applied)]
    if (known !== undefined && this.last <= known.index) return { kind: 'unchanged', stamp, asOf }
    return { kind: 'whole', stamp, asOf, whole: this.content }
  }
}

type Step =
  | { readonly kind: 'commit'; readonly key: string | undefined; readonly value: number }
  | { readonly kind: 'advance' | 'restart' | 'lead'; readonly manager: number }
  | { readonly kind: 'publish'; readonly keyed: boolean }
  | { readonly kind: 'tip' }
  | { readonly kind: 'deliver'; readonly which: number; readonly keep: boolean }
  | { readonly kind: 'lose'; readonly which: number }
  | { readonly kind: 'fetch'; readonly manager: number; readonly isWhole: boolean }

const manager = fc.nat({ max: 2 })
const aStep: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant('commit' as const),
    key: fc.constantFrom('a', 'b', undefined),
    value: fc.nat({ max: 2 }),
  }),
  fc.record({ kind: fc.constantFrom('advance', 'restart', 'lead'), manager }) as fc.Arbitrary<Step>,
  fc.record({ kind: fc.constant('publish' as const), keyed: fc.boolean() }),
  fc.record({ kind: fc.constant('tip' as const) }),
  fc.record({ kind: fc.constant('deliver' as const), which: fc.nat(), keep: fc.boolean() }),
  fc.record({ kind: fc.constant('lose' as const), which: fc.nat() }),
  fc.record({ kind: fc.constant('fetch' as const), manager, isWhole: fc.boolean() }),
)

class World {
  readonly history = new History()
  readonly managers = [0, 1, 2].map(() => new Manager(this.history))
  readonly reader = new Reader()
  leader = 0
  #wire: Heard<Change, Whole>[] = []

  constructor() {
    this.#manager(0).lead()
  }

  step(step: Step): void {
    switch (step.kind) {
      case 'commit':
        this.history.commit(step.key, step.value)
        this.#manager(this.leader).advance()
        return
      case 'advance':
        this.#manager(step.manager).advance()
        return
      case 'restart':
        this.#manager(step.manager).restart()
        if (step.manager === this.leader) this.#manager(this.leader).lead()
        return
      case 'lead':
        this.#manager(this.leader).follow()
        this.leader = step.manager
        this.#manager(this.leader).lead()
        return
      case 'publish':
      case 'tip': {
        const leading = this.#manager(this.leader)
        const message = step.kind === 'tip' ? leading.tip() : leading.publish(step.keyed)
        if (message !== undefined) this.#wire.push(message)
        return
      }
      case 'deliver':
      case 'lose': {
        const index = this.#wire.length === 0 ? 0 : step.which % this.#wire.length
        const message = this.#wire[index]
        if (message === undefined) return
        if (step.kind === 'lose' || !step.keep) this.#wire.splice(index, 1)
        if (step.kind === 'deliver') this.reader.hear(message)
        return
      }
      case 'fetch':
        this.#fetch(step.manager, step.isWhole)
        return
    }
  }

  /** Nothing is lost any more: one round of tips, and questions as long as they are due. */
  settle(): void {
    this.#wire = []
    const leading = this.#manager(this.leader)
    leading.publish(true)
    const tip = leading.tip()
    if (tip === undefined) throw new Error('the leader has no tip')
    this.reader.hear(tip)
    for (const one of this.managers) one.advance()
    for (let round = 0; this.reader.isDue; round++) {
      if (round > 2) throw new Error('the reader asks on and on')
      this.#fetch(round % 3, false)
    }
  }

  #fetch(which: number, isWhole: boolean): void {
    const known = isWhole ? undefined : this.reader.state.until
    this.reader.hear({ kind: 'asking' })
    this.reader.hear(this.#manager(which).answer(known))
  }

  #manager(which: number): Manager {
    const found = this.managers[which]
    if (found === undefined) throw new Error('no such manager')
    return found
  }
}

t.test(
  'whatever happens, a reader has a state that was true, and gets to the last one',
  async () => {
    fc.assert(
      fc.property(fc.array(aStep, { maxLength: 60 }), (steps) => {
        const world = new World()
        for (const step of steps) {
          world.step(step)
          const { content, state } = world.reader
          if (content === undefined || state.at === undefined || state.until === undefined) continue
          for (const index of [state.at.index, state.until.index]) {
            const truth = world.history.contents[index]
            if (!sameKeys(content, truth)) {
              throw new Error(
                `at ${index}: ${JSON.stringify(content)}, not ${JSON.stringify(truth)}`,
              )
            }
          }
        }
        world.settle()
        if (!sameKeys(world.reader.content ?? {}, world.history.contents.at(-1))) {
          throw new Error('the reader did not get to the last state')
        }
      }),
      { numRuns: 3_000 },
    )
  },
)

function sameKeys(a: Whole, b: Whole | undefined): boolean {
  const text = (of: Whole): string => JSON.stringify(Object.entries(of).sort())
  return b !== undefined && text(a) === text(b)
}
