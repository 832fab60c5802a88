// A health probe by command: the runtime's exec on pipes, with the container's own process settings. What is left of one
// that takes too long is killed by the number of its process: killing the runtime alone would leave it running.
import { readFile, rm, writeFile } from 'node:fs/promises'
import { SwarmError } from '../../../proto/errors.ts'
import type { ProbeOutcome, ProbeRequest } from '../executor.ts'
import type { SpawnResult } from '../spawn/spawn-helper.ts'
import type { Container } from './container.ts'
import type { OciRuntime } from './oci-runtime.ts'
import { ociText } from './oci-spec.ts'
import { identifyProcess, signalProcess } from './processes.ts'

/** Source: Docker keeps as much of a probe. */
const outputBytesMax = 4096
/** A probe with more processes than this is not what a timeout is for. */
const processesMax = 1_000
const sigkill = 9

/** What the process file of each container says. */
const written = new WeakMap<Container, string>()

/** Errors: CANCELLED, UNAVAILABLE. */
export async function runProbe(
  runtime: Pick<OciRuntime, 'exec'>,
  container: Container,
  request: ProbeRequest,
  signal: AbortSignal,
): Promise<ProbeOutcome> {
  const { bundleDir } = container.paths
  const files = { processPath: `${bundleDir}/probe.json`, pidPath: `${bundleDir}/probe.pid` }
  await writeProcess(container, request.argv, files.processPath)
  await rm(files.pidPath, { force: true })
  const result = await runtime.exec(container, files, {
    timeoutMs: request.timeoutMs,
    outputBytesMax,
    lane: 'probe',
    signal,
  })
  if (result.cutShort !== undefined) await killProbe(container, files.pidPath)
  const output = outputOf(result)
  if (result.code >= 0) return { kind: 'ended', exitCode: result.code, output }
  if (result.cutShort === 'timeout') return { kind: 'timeout', output }
  if (signal.aborted) throw new SwarmError('CANCELLED', `probe of ${container.id} was given up`)
  throw new SwarmError('UNAVAILABLE', `probe of container ${container.id} not run: ${output}`)
}

/** The settings of the container's own process, with another command. */
async function writeProcess(
  container: Container,
  argv: readonly string[],
  path: string,
): Promise<void> {
  const command = JSON.stringify(argv)
  if (written.get(container) === command) return
  const text = await readFile(`${container.paths.bundleDir}/config.json`, 'utf8')
  const { process }: { readonly process: object } = JSON.parse(text)
  await writeFile(path, ociText({ ...process, terminal: false, args: argv }), {
    mode: 0o600,
  })
  written.set(container, command)
}

function outputOf({ stdout, stderr, cutShort }: SpawnResult): string {
  // The helper's own word at the end of it is not the probe's.
  const own = cutShort === undefined ? stderr : stderr.replace(/ended by SIGKILL$/, '')
  const bytes = Buffer.from(stdout + own)
  return bytes.subarray(0, outputBytesMax).toString('utf8').trim()
}

async function killProbe(container: Container, pidPath: string): Promise<void> {
  const pid = Number(await readFile(pidPath, 'utf8').catch(() => ''))
  if (!Number.isInteger(pid) || pid <= 1) return
  // From the top down, so that none of them can start another one unseen.
  for (const one of await withDescendants(pid)) {
    const identity = (await isOf(container, one)) ? identifyProcess(one) : undefined
    if (identity !== undefined) signalProcess(identity, sigkill)
  }
}

/** Its number may be another's by now; the container's group is its own. */
async function isOf({ paths }: Container, pid: number): Promise<boolean> {
  const groups = await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '')
  return groups.split('\n').some((line) => `${line}/`.includes(`:${paths.cgroupPath}/`))
}

async function withDescendants(pid: number): Promise<readonly number[]> {
  const found = [pid]
  for (let at = 0; at < found.length && found.length < processesMax; at += 1) {
    const one = found[at]
    const children = await readFile(`/proc/${one}/task/${one}/children`, 'utf8').catch(() => '')
    found.push(...children.split(' ').filter(Boolean).map(Number))
  }
  return found
}
