// A program of the host that stands between a stream and a container: its pipes are the stream, its complaint is the error.
import { spawn } from 'node:child_process'
import { SwarmError } from '../../../proto/errors.ts'
import { atUsualPriority } from '../../../proto/lib/priority.ts'
import type { AttachedProgram, ExecEnd } from '../../streams/container-streams.ts'

const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const wordsMax = 4_096

/** `failure` words what it complained of. */
export function startPiped(
  argv: readonly string[],
  failure: (complaint: string) => string,
): AttachedProgram {
  const [file = '', ...args] = argv
  const child = atUsualPriority(() =>
    spawn(file, args, { env: { PATH: systemPath }, stdio: 'pipe' }),
  )
  let words = ''
  let hasEnded = false
  child.stdin.on('error', () => {})
  child.stderr.on('data', (chunk: Buffer) => {
    words = (words + chunk.toString('utf8')).slice(-wordsMax)
  })
  const ended = new Promise<ExecEnd>((resolve, reject) => {
    child.on('error', (cause) => {
      hasEnded = true
      reject(new SwarmError('INTERNAL', `cannot run ${file}: ${cause.message}`, { cause }))
    })
    child.on('close', (code) => {
      hasEnded = true
      const isWell = code === 0 || words === ''
      resolve({ exitCode: 0, err: isWell ? '' : failure(words.trim()) })
    })
  })
  ended.catch(() => {})
  return {
    input: child.stdin,
    output: child.stdout,
    errors: undefined,
    ended,
    resize: async () => {},
    signal: () => {},
    hangUp: async () => {
      if (hasEnded) return
      child.stdin.destroy()
      child.stdout.destroy()
      child.kill('SIGKILL')
      await ended.catch(() => {})
    },
  }
}
