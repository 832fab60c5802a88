// What the daemon asks its spawn helper for and what that answers, as the fields of frames. Pure.
import { constants } from 'node:os'
import { getSystemErrorName } from 'node:util'

/** One program to run. */
export interface SpawnRequest {
  readonly id: number
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  /** File of a network namespace that it is run in; empty: the helper's own. */
  readonly netns: string
  /** Files of the kernel that are there, and what is written to each before, in that namespace. */
  readonly settings: ReadonlyMap<string, string>
  readonly input: string
  /** Then it is killed. */
  readonly timeoutMs: number
  /** Gives the program a pipe as descriptor 3; the first line it writes there is part of the answer. */
  readonly syncPipe: boolean
  /** It has the priority of the daemon, which may be a better one than is usual. */
  readonly isUrgent: boolean
  /** Of each stream; what comes after is read and thrown away. */
  readonly outputBytesMax: number
}

export type CutShort = 'timeout' | 'cancel'

export interface SpawnAnswer {
  /** -1 when a signal ended it or it could not be started. */
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  /** First line of descriptor 3; empty without a sync pipe. */
  readonly sync: string
  /** Why it was killed before its end; what it left in the background may live on. */
  readonly cutShort?: CutShort
}

export function requestFields(request: SpawnRequest): readonly string[] {
  const { id, argv, env, cwd, netns, settings, input } = request
  const flags = `${request.syncPipe ? 's' : ''}${request.isUrgent ? 'u' : ''}`
  return [
    ...['run', `${id}`, cwd, `${request.timeoutMs}`, `${request.outputBytesMax}`, flags],
    ...[netns, input, `${settings.size}`, ...[...settings].flat()],
    ...[`${argv.length}`, ...argv, ...Object.entries(env).flat()],
  ]
}

export function cancelFields(id: number): readonly string[] {
  return ['cancel', `${id}`]
}

/** `fields`: without the number of the request. `file`: what was to be run. */
export function answerOf(fields: readonly string[], file: string): SpawnAnswer {
  const [code = '-1', signal = '0', failure = '', cut = '', stdout = '', stderr = '', sync = ''] =
    fields
  if (failure !== '') return { code: -1, stdout: '', stderr: failureText(failure, file), sync: '' }
  const why = signal === '0' ? '' : `ended by ${signalName(Number(signal))}`
  const answer = { code: Number(code), stdout, stderr: stderr + why, sync }
  return cut === 'timeout' || cut === 'cancel' ? { ...answer, cutShort: cut } : answer
}

/** `STEP NUMBER`: what was tried, and the system's number of what came of it. */
function failureText(failure: string, file: string): string {
  const end = failure.lastIndexOf(' ')
  const step = failure.slice(0, end)
  const number = Number(failure.slice(end + 1))
  const what = step === 'spawn' ? '' : ` (${step})`
  return `spawn ${file} ${number > 0 ? getSystemErrorName(-number) : 'failed'}${what}`
}

function signalName(number: number): string {
  const found = Object.entries(constants.signals).find(([, value]) => value === number)
  return found?.[0] ?? `signal ${number}`
}
