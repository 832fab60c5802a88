import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import t from 'tap'
import { judge, type LeftBehind } from '../../../../../worker/executor/container/adoption.ts'
import { checkContainerId, checkDirs } from '../../../../../worker/executor/container/paths.ts'
import {
  identifyProcess,
  isAlive,
  parseStat,
  pidExists,
  signalProcess,
} from '../../../../../worker/executor/container/processes.ts'
import {
  type ContainerRecord,
  readRecord,
  withoutSecrets,
  writeRecord,
} from '../../../../../worker/executor/container/record.ts'
import { resolveInRoot } from '../../../../../worker/executor/container/root-path.ts'
import { aContainer } from '../../../../support/container-configs.ts'

function aRecord(over: Partial<ContainerRecord> = {}): ContainerRecord {
  return {
    format: 1,
    config: aContainer('x', { env: ['SECRET=1'] }),
    image: { reference: 'i', id: 'sha256:1', sizeBytes: 1 },
    createdAtMs: 1,
    bootId: 'boot',
    phase: 'started',
    stopSignal: 15,
    stopGraceMs: 1,
    anonymousVolumes: [],
    ...over,
  }
}

const living: LeftBehind = {
  record: aRecord(),
  sameBoot: true,
  hasBundle: true,
  hasExitFile: false,
  monitorAlive: true,
}

t.test('what became of a container while no daemon ran', async (t) => {
  const verdict = (over: Partial<LeftBehind>): string => judge({ ...living, ...over }).kind
  const exit = { exitCode: 0, oomKilled: false, finishedAtMs: 1 }
  t.equal(verdict({}), 'adopt')
  t.equal(verdict({ record: aRecord({ phase: 'created' }) }), 'adopt')
  t.equal(verdict({ record: undefined }), 'discard')
  t.equal(verdict({ record: aRecord({ phase: 'creating' }) }), 'discard')
  t.equal(verdict({ record: aRecord({ phase: 'exited', exit }), sameBoot: false }), 'ended')
  t.equal(verdict({ hasExitFile: true, monitorAlive: false }), 'exit file')
  t.equal(verdict({ hasExitFile: true, sameBoot: false }), 'lost', 'the file is of another life')
  t.match(judge({ ...living, sameBoot: false }), { kind: 'lost', error: 'the host was restarted' })
  t.match(judge({ ...living, monitorAlive: false }), { kind: 'lost', error: /monitor/ })
  t.match(judge({ ...living, hasBundle: false }), { kind: 'lost', error: /run-time folder/ })
})

t.test('a record is written whole, read back, and bare of secrets on disk', async (t) => {
  const dir = await mkdtemp('/tmp/tsswarm-record-')
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const path = `${dir}/record.json`
  await writeRecord(path, aRecord())
  t.same(await readRecord(path), aRecord())
  await writeRecord(path, withoutSecrets(aRecord()))
  t.notMatch(await readFile(path, 'utf8'), 'SECRET')
  await writeFile(path, '{"format":1')
  t.equal(await readRecord(path), undefined)
  await writeFile(path, '{"format":2}')
  t.equal(await readRecord(path), undefined, 'of a version that does not exist yet')
  t.equal(await readRecord(`${dir}/none`), undefined)
})

t.test('processes are told apart by their start', async (t) => {
  t.same(parseStat(7, `7 (a) b ) S ${'0 '.repeat(18)}4242 0`), { pid: 7, startTicks: 4242 })
  t.equal(parseStat(7, `7 (x) Z ${'0 '.repeat(18)}4242 0`), undefined, 'a zombie is none')
  t.equal(identifyProcess(2 ** 22 + 1), undefined)
  const child = spawn('sleep', ['60'])
  const identity = identifyProcess(child.pid ?? 0)
  t.ok(identity)
  if (identity === undefined) return
  t.equal(isAlive(identity), true)
  const other = { ...identity, startTicks: identity.startTicks + 1 }
  t.equal(isAlive(other), false)
  t.equal(signalProcess(other, 9), false, 'a stranger is left alone')
  const ended = new Promise((resolve) => child.once('exit', resolve))
  t.equal(signalProcess(identity, 15), true)
  await ended
  t.equal(isAlive(identity), false)
  t.equal(pidExists(process.pid), true)
  t.equal(pidExists(2 ** 22 + 1), false)
})

t.test('paths in an image are followed within its root', async (t) => {
  const root = await mkdtemp('/tmp/tsswarm-root-')
  t.teardown(() => rm(root, { recursive: true, force: true }))
  await mkdir(`${root}/usr/etc`, { recursive: true })
  await writeFile(`${root}/usr/etc/passwd`, 'inside')
  await symlink('usr/etc', `${root}/etc`)
  await symlink('/usr/etc', `${root}/absolute`)
  await symlink('../../../../../usr', `${root}/usr/up`)
  await symlink('/loop', `${root}/loop`)
  const at = `${root}/usr/etc/passwd`
  for (const path of ['/etc/passwd', 'absolute/passwd', '/usr/up/etc/passwd', '/../etc/./passwd']) {
    t.equal(await resolveInRoot(root, path), at, path)
  }
  t.equal(await resolveInRoot(root, '/'), root)
  t.equal(await resolveInRoot(root, '/loop'), undefined)
  t.equal(await resolveInRoot(root, '/none/x'), undefined)
})

t.test('ids and folders that could do harm are refused', async (t) => {
  t.doesNotThrow(() => checkContainerId('0a.b-c_d'))
  for (const id of ['', '.', '..', 'A', 'a/b', '-x', 'a'.repeat(65)]) {
    t.throws(() => checkContainerId(id), { code: 'INVALID_ARGUMENT' }, id)
  }
  const dirs = { stateDir: '/var/lib/x', runDir: '/run/x', cgroupParent: '/x' }
  t.doesNotThrow(() => checkDirs(dirs))
  for (const bad of ['relative', '/a b', '/a,b', '/a:b', '']) {
    t.throws(() => checkDirs({ ...dirs, stateDir: bad }), { code: 'INVALID_ARGUMENT' }, bad)
  }
})
