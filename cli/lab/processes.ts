// Long-running programs of a lab: started detached, known by pid and start time, ended by pid.
import { spawn } from 'node:child_process'
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname } from 'node:path'
import { SwarmError } from '../../proto/errors.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'

export interface ProcessFiles {
  readonly pidFile: string
  readonly logFile: string
}

/** Starts argv in its own session; its output is appended to the log file. */
export function startDetached(
  argv: readonly string[],
  files: ProcessFiles,
  env: NodeJS.ProcessEnv,
): void {
  mkdirSync(dirname(files.pidFile), { recursive: true, mode: 0o700 })
  mkdirSync(dirname(files.logFile), { recursive: true, mode: 0o700 })
  const [program = '', ...args] = argv
  const log = openSync(files.logFile, 'a', 0o600)
  try {
    const child = spawn(program, args, { detached: true, stdio: ['ignore', log, log], env })
    child.once('error', () => {})
    if (child.pid === undefined) {
      throw new SwarmError('INTERNAL', `${program} could not be started: is it installed?`)
    }
    writeFileSync(files.pidFile, `${child.pid} ${startTime(child.pid) ?? ''}`)
    child.unref()
  } finally {
    closeSync(log)
  }
}

/** The end of a log file, at most 4,000 bytes of it; says so when there is none. */
export function lastLines(file: string, count: number): string {
  try {
    const lines = readFileSync(file).subarray(-4000).toString('utf8').trim().split('\n')
    return lines.slice(-count).join('\n') || '(it wrote nothing)'
  } catch {
    return '(it wrote nothing)'
  }
}

/** The pid in the file when that very process still runs. */
export function runningPid(pidFile: string): number | undefined {
  let text: string
  try {
    text = readFileSync(pidFile, 'utf8')
  } catch {
    return undefined
  }
  const [pid = '', started = ''] = text.split(' ')
  const now = startTime(Number(pid))
  return now !== undefined && now === started ? Number(pid) : undefined
}

/** Signals the process of the pid file and waits until it is gone. No-op when it does not run. */
export async function endProcess(
  pidFile: string,
  signalName: 'SIGTERM' | 'SIGKILL',
  clock: Clock,
): Promise<void> {
  const pid = runningPid(pidFile)
  if (pid === undefined) return
  process.kill(pid, signalName)
  const endsAtMs = clock.monotonicMs() + 15_000
  while (runningPid(pidFile) !== undefined) {
    if (clock.monotonicMs() > endsAtMs) {
      if (signalName === 'SIGKILL') {
        throw new SwarmError('DEADLINE_EXCEEDED', `process ${pid} does not end after SIGKILL`)
      }
      await endProcess(pidFile, 'SIGKILL', clock)
      return
    }
    await wait(clock, 10)
  }
  rmSync(pidFile, { force: true })
}

/** Programs of a lab that outlive a crash of what started them, with the directories of the lab in their arguments. */
export const labPrograms: ReadonlySet<string> = new Set([
  'node',
  'conmon',
  'crun',
  'unshare',
  'skopeo',
  'docker-registry',
])

/**
 * Kills every process of one of the programs that has the directory, or what is below it, in its arguments; for what a
 * crash left behind. Others that only look at the directory, a `tail` of a log for one, are let alone; of `node` only
 * our daemons are meant.
 */
export function killLeftovers(directory: string, programs: ReadonlySet<string>): number {
  let killed = 0
  for (const pid of pidsBelow(directory, programs)) {
    try {
      process.kill(pid, 'SIGKILL')
      killed += 1
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code !== 'ESRCH') throw err
    }
  }
  return killed
}

/** Processes of these programs, by file name, whose arguments name something below the directory. Of node only daemons. */
export function pidsBelow(directory: string, programs: ReadonlySet<string>): readonly number[] {
  return readdirSync('/proc').flatMap((name): readonly number[] => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return []
    const argv = argumentsOf(name)
    if (!argv.some((argument) => argument.includes(`${directory}/`))) return []
    const program = programOf(name)
    if (!programs.has(program) || (program === 'node' && !argv.includes('daemon'))) return []
    return [Number(name)]
  })
}

function argumentsOf(pid: string): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return []
  }
}

/** The file name of what the process runs, also when that was removed since; '' when it is gone or a zombie. */
function programOf(pid: string): string {
  try {
    return basename(readlinkSync(`/proc/${pid}/exe`).replace(/ \(deleted\)$/, ''))
  } catch {
    return ''
  }
}

/** Field 22 of /proc/PID/stat; undefined when there is no such process or it is a zombie. */
function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? undefined : fields[19]
  } catch {
    return undefined
  }
}
