// When the runtime may end: not before the program has, and not before the runtime has read what it wrote.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import {
  isThere,
  lookAtChild,
  type ProcessLook,
  untilRead,
} from '../../../../../worker/executor/container/last-words.ts'
import { identifyProcess } from '../../../../../worker/executor/container/processes.ts'
import { VirtualClock } from '../../../../support/virtual-clock.ts'

const asleep = (reads: number): ProcessLook => ({ sleeps: true, reads: `${reads}` })
const program = { pid: 7, startTicks: 1 }

/** How long it took with what is seen after so many ms. */
async function waited(seen: {
  readonly endsAtMs?: number
  readonly look: (ms: number) => ProcessLook | undefined
  readonly isBehind?: (ms: number) => boolean
}): Promise<number> {
  const clock = new VirtualClock()
  const beganMs = clock.monotonicMs()
  const ms = (): number => clock.monotonicMs() - beganMs
  let tookMs = -1
  const gone = untilRead({
    program,
    isThere: () => ms() < (seen.endsAtMs ?? 0),
    look: () => seen.look(ms()),
    isBehind: () => seen.isBehind?.(ms()) ?? false,
    clock,
    signal: new AbortController().signal,
  }).then(() => {
    tookMs = ms()
  })
  await clock.until(() => tookMs >= 0, 20_000, 'it is let go')
  await gone
  return tookMs
}

t.test('it is let go soon after the end of the program, not before', async (t) => {
  const tookMs = await waited({ endsAtMs: 1_000, look: () => asleep(3) })
  t.ok(tookMs >= 1_000 && tookMs < 1_060, `${tookMs} ms`)
})

t.test('as long as it reads, or has not slept since, it goes on', async (t) => {
  const reading = await waited({ look: (ms) => asleep(Math.min(ms, 500)) })
  t.ok(reading >= 500 && reading < 560, `reads until 500: ${reading} ms`)
  const look = (ms: number): ProcessLook => ({ sleeps: ms >= 300, reads: '3' })
  const running = await waited({ look })
  t.ok(running >= 300 && running < 360, `runs until 300: ${running} ms`)
})

t.test('what nobody has taken from us may keep it waiting', async (t) => {
  const tookMs = await waited({ look: () => asleep(3), isBehind: (ms) => ms < 400 })
  t.ok(tookMs >= 400 && tookMs < 460, `${tookMs} ms`)
})

t.test('one that has ended is not waited for, and none longer than 10 s', async (t) => {
  t.equal(await waited({ look: () => undefined }), 0)
  const tookMs = await waited({ look: () => ({ sleeps: false, reads: '' }) })
  t.ok(tookMs >= 10_000 && tookMs < 10_100, `${tookMs} ms`)
})

t.test('looks at real processes', async (t) => {
  const own = identifyProcess(process.pid) ?? program
  t.equal(isThere(own), true)
  t.equal(isThere({ ...own, startTicks: own.startTicks + 1 }), false, 'another one of that number')
  t.equal(isThere({ pid: 2 ** 30, startTicks: 1 }), false)
  t.equal(lookAtChild(2 ** 30), undefined, 'no process')
  t.equal(lookAtChild(process.pid), undefined, 'no child')
  const child = spawn('cat', { stdio: ['pipe', 'pipe', 'ignore'] })
  child.stdin.write('hello')
  await once(child.stdout, 'data')
  t.match(lookAtChild(process.pid)?.reads, /^\d+$/)
  child.stdin.end()
  await once(child, 'exit')
})
