import { PassThrough } from 'node:stream'
import t from 'tap'
import { type ErrorCode, SwarmError } from '../../../../proto/errors.ts'
import type { ExecOpen, StreamFrame } from '../../../../proto/gen/tsswarm/v1/streams.ts'
import { systemClock, wait } from '../../../../proto/lib/clock.ts'
import { joinProgram, serveExec } from '../../../../worker/streams/serve-exec.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

type FrameKind = NonNullable<StreamFrame['kind']>

/** What is sent when the container refuses for that reason. */
async function refused(code: ErrorCode, text: string): Promise<readonly FrameKind[]> {
  const exec: ExecOpen = {
    ...{ argv: ['id'], env: [], workdir: '', user: 'nobody1', size: undefined },
    ...{ tty: false, interactive: false, detach: false },
  }
  const containers = { exec: () => Promise.reject(new SwarmError(code, text)) }
  const sent: FrameKind[] = []
  const io = {
    frames: (async function* () {})(),
    send: async (kind: FrameKind) => void sent.push(kind),
    ...{ signal: new AbortController().signal, clock: systemClock },
  }
  await serveExec(containers, { id: 'c', exec }, io)
  return sent
}

t.test('a user that is not there ends as a command that cannot be run', async (t) => {
  const text = 'unable to find user nobody1: no matching entries in passwd file of the image'
  t.same(await refused('INVALID_ARGUMENT', text), [
    { $case: 'ended', value: { exitCode: 126, err: text, code: 'INVALID_ARGUMENT' } },
  ])
  const gone = refused('FAILED_PRECONDITION', 'it is not running')
  await t.rejects(gone, { code: 'FAILED_PRECONDITION' }, 'what is not about the command')
})

t.test(
  'what a program left behind holds nobody up, and nothing that was said is lost',
  async (t) => {
    const clock = new VirtualClock()
    const [output, errors] = [new PassThrough({ objectMode: true }), new PassThrough()]
    let end = (_: { exitCode: number; err: string }): void => {}
    const program = {
      ...{ input: new PassThrough(), output, errors },
      ended: new Promise<{ exitCode: number; err: string }>((resolve) => {
        end = resolve
      }),
      ...{ resize: async () => {}, signal: () => {}, hangUp: async () => {} },
    }
    const sent: FrameKind[] = []
    // A client that takes three seconds for each piece.
    const io = {
      frames: (async function* () {})(),
      send: async (kind: FrameKind) => {
        await wait(clock, 3_000)
        sent.push(kind)
      },
      ...{ signal: new AbortController().signal, clock },
    }
    const joined = joinProgram(program, { tty: false, hasInput: false }, io)
    for (const text of ['one', 'two']) {
      output.write(Buffer.from(text))
      await clock.advance(10)
    }
    end({ exitCode: 3, err: '' })
    await clock.advance(30_000)
    await joined
    t.same(
      sent.map(({ $case, value }) =>
        $case === 'data' ? Buffer.from(value as Buffer).toString() : $case,
      ),
      ['opened', 'one', 'two', 'dataEnd', 'ended'],
    )
    t.match(sent.at(-1), { value: { exitCode: 3 } })
  },
)
