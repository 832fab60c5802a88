import t from 'tap'
import { SharedLock } from '../../../../proto/lib/shared-lock.ts'

interface Held {
  readonly name: string
  readonly done: () => void
}

/** Starts a holder that stays until told; `log` shows who got in. */
function hold(
  lock: SharedLock,
  kind: 'shared' | 'exclusive',
  name: string,
  log: string[],
): Held & { readonly ended: Promise<void> } {
  let done = (): void => {}
  const until = new Promise<void>((resolve) => {
    done = resolve
  })
  const ended = lock[kind](async () => {
    log.push(name)
    await until
  })
  return { name, done, ended }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

t.test('shared holders run together, an exclusive one alone, in the order of asking', async (t) => {
  const lock = new SharedLock()
  const log: string[] = []
  const a = hold(lock, 'shared', 'a', log)
  const b = hold(lock, 'shared', 'b', log)
  const c = hold(lock, 'exclusive', 'c', log)
  const d = hold(lock, 'shared', 'd', log)
  await turn()
  t.same(log, ['a', 'b'], 'the later shared one does not overtake the exclusive one')
  a.done()
  await a.ended
  await turn()
  t.same(log, ['a', 'b'])
  b.done()
  await b.ended
  await turn()
  t.same(log, ['a', 'b', 'c'])
  c.done()
  await c.ended
  await turn()
  t.same(log, ['a', 'b', 'c', 'd'])
  d.done()
  await d.ended
})

t.test('a holder that fails lets go', async (t) => {
  const lock = new SharedLock()
  await t.rejects(lock.exclusive(() => Promise.reject(new Error('a'))))
  await t.rejects(lock.shared(() => Promise.reject(new Error('b'))))
  t.equal(await lock.exclusive(() => Promise.resolve(7)), 7)
})
