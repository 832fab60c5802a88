// Three etcd processes on loopback with data directories of their own and mutual TLS between them; clients speak
// without TLS, which favours etcd. Nothing of a system's own etcd is touched.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freeAddress } from '../../support/free-ports.ts'
import { type CertificateFiles, makeCertificates } from './certificates.ts'

const startMs = 30_000
const pollMs = 50
/** Ticks a second of the times in /proc/PID/stat. */
const clockTicks = 100

interface Member {
  readonly name: string
  readonly client: string
  readonly peer: string
}

export class EtcdCluster {
  readonly #directory: string
  readonly #members: readonly Member[]
  readonly #processes: readonly ChildProcess[]

  private constructor(
    directory: string,
    members: readonly Member[],
    processes: readonly ChildProcess[],
  ) {
    this.#directory = directory
    this.#members = members
    this.#processes = processes
  }

  /** Resolves when there is a leader. Throws what etcd said when there is none in time. */
  static async start(count: number): Promise<EtcdCluster> {
    const directory = mkdtempSync(join(tmpdir(), 'tsswarm-bench-etcd-'))
    const members: Member[] = []
    for (let i = 0; i < count; i++) {
      members.push({ name: `m${i}`, client: await freeAddress(), peer: await freeAddress() })
    }
    const files = await makeCertificates(directory)
    const spoken: string[] = []
    const processes = members.map((member) => {
      const child = spawn('etcd', memberArguments(directory, member, members, files), {
        stdio: ['ignore', 'ignore', 'pipe'],
        env: { PATH: process.env['PATH'] },
      })
      child.on('error', (err) => spoken.push(String(err)))
      child.stderr.on('data', (text: Buffer) => spoken.push(text.toString()))
      return child
    })
    const cluster = new EtcdCluster(directory, members, processes)
    try {
      await cluster.leader()
    } catch (err) {
      await cluster.end()
      throw new Error(`etcd does not start: ${spoken.join('').slice(-2_000)}`, { cause: err })
    }
    return cluster
  }

  /** The member that leads, once there is one. */
  async leader(): Promise<{ readonly endpoint: string; readonly pid: number }> {
    const endMs = performance.now() + startMs
    while (performance.now() < endMs) {
      for (const [i, { client }] of this.#members.entries()) {
        const pid = this.#processes[i]?.pid
        if (pid !== undefined && (await leads(client))) return { endpoint: client, pid }
      }
      await new Promise((resolve) => setTimeout(resolve, pollMs))
    }
    throw new Error(`no etcd member leads within ${startMs} ms`)
  }

  /** Removes all of it. */
  async end(): Promise<void> {
    await Promise.all(this.#processes.map(killed))
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

/** Processor time of a process so far, all threads. */
export function processCpuMs(pid: number): number {
  // The name in parentheses may hold spaces; user and system time are the 14th and 15th field of all.
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / clockTicks
}

function memberArguments(
  directory: string,
  member: Member,
  members: readonly Member[],
  files: CertificateFiles,
): readonly string[] {
  const options: Readonly<Record<string, string>> = {
    name: member.name,
    'data-dir': join(directory, member.name),
    'listen-client-urls': `http://${member.client}`,
    'advertise-client-urls': `http://${member.client}`,
    'listen-peer-urls': `https://${member.peer}`,
    'initial-advertise-peer-urls': `https://${member.peer}`,
    'initial-cluster': members.map(({ name, peer }) => `${name}=https://${peer}`).join(','),
    'initial-cluster-token': 'bench',
    'peer-trusted-ca-file': files.ca,
    'peer-cert-file': files.cert,
    'peer-key-file': files.key,
    logger: 'zap',
    'log-level': 'error',
  }
  const named = Object.entries(options).map(([name, value]) => `--${name}=${value}`)
  return [...named, '--peer-client-cert-auth']
}

/** As the member's own figures say. */
async function leads(client: string): Promise<boolean> {
  try {
    const answer = await fetch(`http://${client}/metrics`, { signal: AbortSignal.timeout(2_000) })
    return /^etcd_server_is_leader 1$/m.test(await answer.text())
  } catch {
    return false
  }
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone
}
