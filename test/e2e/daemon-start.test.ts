// A daemon by itself: told to end while it still starts, and told to read its settings again.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { nodeFlags } from '../../cli/node-flags.ts'
import { until } from '../support/until.ts'

const base = mkdtempSync(join(tmpdir(), 'tsswarm-start-'))
const runDir = join(base, 'run')
const folders = ['--state-dir', join(base, 'state'), '--run-dir', runDir]
const parent = ['--cgroup-parent', '/tsswarm-start']

/** In a network namespace of its own, which ends with it. */
function daemon(...flags: readonly string[]): ChildProcess {
  const program = [process.execPath, ...nodeFlags, 'dist/tsswarm.js', 'daemon']
  const within = ['--net', 'sh', '-c', 'ip link set lo up; exec "$@"', 'sh']
  return spawn('unshare', [...within, ...program, ...folders, ...parent, ...flags], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

t.setTimeout(120_000)
t.teardown(() => rmSync(base, { recursive: true, force: true }))

t.test('ends in order, however early it is told to', async (t) => {
  const child = daemon()
  const ended = once(child, 'exit')
  t.teardown(() => child.kill('SIGKILL'))
  await until(() => existsSync(runDir), 'its folders are made: it opens the engine next', 60_000)
  child.kill('SIGTERM')
  t.same(await ended, [0, null])
  t.same(await once(daemon('--purge'), 'exit'), [0, null])
  t.notOk(existsSync(runDir), 'and nothing of it is left')
})

t.test('follows settings that changed when it is told to read them again', async (t) => {
  const file = join(base, 'daemon.yaml')
  writeFileSync(file, 'labels: { zone: a }\n')
  const child = daemon('--config', file)
  const ended = once(child, 'exit')
  t.teardown(() => child.kill('SIGKILL'))
  const socket = join(runDir, 'tsswarm.sock')
  const labels = (): string => {
    const words = ['dist/tsswarm.js', '-H', socket, 'info', '--format', '{{json .Labels}}']
    return execFileSync(process.execPath, words, { encoding: 'utf8' }).trim()
  }
  await until(() => existsSync(socket), 'it serves', 60_000)
  t.equal(labels(), '["zone=a"]')
  writeFileSync(file, 'labels: { zone: b }\ngroup: root\n')
  child.kill('SIGHUP')
  await until(() => labels() === '["zone=b"]', 'the other label', 30_000)
  child.kill('SIGTERM')
  t.same(await ended, [0, null])
  t.same(await once(daemon('--purge'), 'exit'), [0, null])
})
