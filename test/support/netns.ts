// Network namespaces and processes in them for end-to-end tests: simulated hosts, fake containers, echo servers.
// Everything made here is removed by `dispose`, whatever the test did.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readlink, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCommand } from '../../proto/lib/command.ts'
import {
  ensureNamespace,
  enterNamespace,
  removeNamespace,
} from '../../worker/network/data-plane.ts'

export interface FakeContainer {
  readonly pid: number
  /** Argv prefix that enters its network namespace. */
  readonly enter: readonly string[]
  kill(): Promise<void>
}

export interface NetnsBench {
  /** Scratch directory. */
  readonly dir: string
  /** Makes a namespace and answers with its file. */
  namespace(name: string): Promise<string>
  /** Runs argv in the namespace (undefined: here); throws unless it succeeds. Answers with its output. */
  run(file: string | undefined, argv: readonly string[], input?: string): Promise<string>
  /** As run, but answers with the exit code. */
  attempt(file: string | undefined, argv: readonly string[]): Promise<number>
  /** A process with a network namespace of its own. */
  container(): Promise<FakeContainer>
  /** A process that stays until the end. */
  daemon(argv: readonly string[]): ChildProcess
  dispose(): Promise<void>
}

export async function createBench(): Promise<NetnsBench> {
  const dir = await mkdtemp(join(tmpdir(), 'tsswarm-e2e-'))
  const files: string[] = []
  const children: ChildProcess[] = []
  const start = (argv: readonly string[]): ChildProcess => {
    // Nothing outlives a test that is killed.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...argv], {
      stdio: 'ignore',
      detached: true,
    })
    child.once('exit', () => killGroup(child.pid))
    children.push(child)
    return child
  }
  const inside = (file: string | undefined, argv: readonly string[]): readonly string[] =>
    file === undefined ? argv : [...enterNamespace(file), ...argv]
  return {
    dir,
    namespace: async (name) => {
      const file = join(dir, `${name}.netns`)
      await ensureNamespace(file, runCommand)
      files.push(file)
      // A new namespace inherits forwarding from the machine.
      const script = 'ip link set lo up; echo 0 >/proc/sys/net/ipv4/ip_forward'
      await runCommand([...enterNamespace(file), 'sh', '-c', script])
      return file
    },
    run: async (file, argv, input) => {
      const result = await runCommand(inside(file, argv), input === undefined ? {} : { input })
      if (result.code !== 0) throw new Error(`${argv.join(' ')}: ${result.stderr}`)
      return result.stdout
    },
    attempt: async (file, argv) => (await runCommand(inside(file, argv))).code,
    container: () => startContainer(start),
    daemon: start,
    dispose: async () => {
      await Promise.all(children.map(stop))
      for (const file of files) await removeNamespace(file, runCommand)
      await rm(dir, { recursive: true, force: true })
    },
  }
}

async function startContainer(
  start: (argv: readonly string[]) => ChildProcess,
): Promise<FakeContainer> {
  const own = await readlink('/proc/self/ns/net')
  const child = start(['unshare', '--net', 'sleep', 'infinity'])
  const { pid } = child
  if (pid === undefined) throw new Error('unshare did not start')
  const path = `/proc/${pid}/ns/net`
  await eventually(
    async () => (await readlink(path)) !== own,
    'the fake container has its namespace',
  )
  return { pid, enter: enterNamespace(path), kill: () => stop(child) }
}

function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
  return new Promise((resolve) => {
    child.once('exit', () => resolve())
    child.kill('SIGKILL')
  })
}

/** What a process forked, right when it ends: later the number may be another one's. */
function killGroup(leader: number | undefined): void {
  try {
    if (leader !== undefined) process.kill(-leader, 'SIGKILL')
  } catch {
    // All of it has ended.
  }
}

/** Waits until the condition holds; a condition that throws does not hold yet. Fails after `withinMs`. */
export async function eventually(
  condition: () => Promise<boolean>,
  what: string,
  withinMs = 10_000,
): Promise<void> {
  const deadline = performance.now() + withinMs
  let last: unknown
  while (performance.now() < deadline) {
    try {
      if (await condition()) return
    } catch (err) {
      last = err
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`not within ${withinMs} ms: ${what}`, { cause: last })
}
