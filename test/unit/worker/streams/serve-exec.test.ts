import t from 'tap'
import { type ErrorCode, SwarmError } from '../../../../proto/errors.ts'
import type { ExecOpen, StreamFrame } from '../../../../proto/gen/tsswarm/v1/streams.ts'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { serveExec } from '../../../../worker/streams/serve-exec.ts'

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
