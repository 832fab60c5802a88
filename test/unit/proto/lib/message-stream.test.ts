import t from 'tap'
import { streamPair } from '../../../../proto/lib/message-stream.ts'
import { Semaphore } from '../../../../proto/lib/semaphore.ts'
import { settle } from '../../../support/virtual-clock.ts'

async function read<T>(incoming: AsyncIterable<T>, into: T[]): Promise<void> {
  for await (const item of incoming) into.push(item)
}

t.test('what one end sends the other receives, both ways and in order', async (t) => {
  const { near, far } = streamPair<number, string>()
  const [numbers, texts]: [number[], string[]] = [[], []]
  const reading = [read(far.incoming, numbers), read(near.incoming, texts)]
  await near.send(1)
  await far.send('a')
  await near.send(2)
  near.close()
  await Promise.all(reading)
  t.same(numbers, [1, 2])
  t.same(texts, ['a'])
  await t.rejects(near.send(3), /ended/)
})

t.test('an error reaches the reader after what was sent before', async (t) => {
  const { near, far } = streamPair<number, string>()
  await near.send(1)
  near.close(new Error('broken'))
  const numbers: number[] = []
  await t.rejects(read(far.incoming, numbers), /broken/)
  t.same(numbers, [1])
})

t.test('a sender waits for a reader that is slow, and not for one that is gone', async (t) => {
  const { near, far } = streamPair<number, string>()
  let sent = 0
  const send = async (): Promise<void> => {
    for (; sent < 1_000; sent++) await near.send(sent)
  }
  const sending = send().catch((err: unknown) => err)
  await settle()
  t.ok(sent < 300, `${sent} were sent`)
  const reader = far.incoming[Symbol.asyncIterator]()
  await reader.next()
  await settle()
  t.ok(sent > 255)
  far.close()
  t.match(await sending, { message: /ended/ })
})

t.test(
  'only so many hold a semaphore, the urgent first, and a failure gives it back',
  async (t) => {
    const semaphore = new Semaphore(1)
    const order: string[] = []
    let release = (): void => {}
    const held = semaphore.run(() => new Promise<void>((resolve) => (release = resolve)))
    const note = (name: string) => async () => void order.push(name)
    const waiting = [
      semaphore.run(note('a')),
      semaphore.run(note('b')),
      semaphore.run(note('c'), true),
    ]
    await settle()
    t.same(order, [])
    release()
    await Promise.all([held, ...waiting])
    t.same(order, ['c', 'a', 'b'])
    await t.rejects(
      semaphore.run(async () => {
        throw new Error('x')
      }),
      /x/,
    )
    await semaphore.run(note('d'))
    t.same(order, ['c', 'a', 'b', 'd'])
  },
)
