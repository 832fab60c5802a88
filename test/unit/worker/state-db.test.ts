import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { silentLogger } from '../../../proto/lib/log.ts'
import {
  type Assignments,
  specHash,
  TaskState,
  type TaskStatus,
  taskId,
} from '../../../proto/objects/index.ts'
import { openStateDb } from '../../../worker/state-db.ts'
import { openStateFile, type StateFile } from '../../../worker/state-file.ts'
import { anAssignedTask, aSpecRecord } from '../../support/task-builders.ts'

class MemoryFile implements StateFile {
  data = Buffer.alloc(0)
  fails = false
  writes = 0
  async read() {
    return this.data
  }
  async append(data: Uint8Array) {
    this.writes += 1
    if (this.fails) {
      this.data = Buffer.concat([this.data, data.subarray(0, data.length / 2)])
      throw new Error('disk full')
    }
    this.data = Buffer.concat([this.data, data])
  }
  async replace(data: Uint8Array) {
    this.writes += 1
    if (this.fails) throw new Error('disk full')
    this.data = Buffer.from(data)
  }
  async close() {}
}

function assigned(index: number, ...ids: readonly string[]): Assignments {
  const record = aSpecRecord()
  return {
    stamp: { epoch: 1, index },
    tasks: new Map(ids.map((id) => [taskId(id), anAssignedTask({ id })])),
    specs: new Map(ids.length === 0 ? [] : [[record.hash, record.spec]]),
  }
}

function aStatus(id: string, more: Partial<TaskStatus> = {}): TaskStatus {
  return {
    taskId: taskId(id),
    state: TaskState.RUNNING,
    atMs: 7,
    message: 'started',
    err: '',
    containerId: id,
    pid: 12,
    exitCode: undefined,
    hostPorts: ['tcp/80'],
    connections: [],
    health: undefined,
    ...more,
  }
}

t.test('what was saved is there after a restart, on a real disk', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'state-db-'))
  t.teardown(() => rm(dir, { recursive: true }))
  const path = join(dir, 'deep', 'tasks.db')
  const db = await openStateDb(openStateFile(path), silentLogger)
  t.equal(db.isComplete, false, 'an empty database does not know what is ours')
  await db.saveAssignments(assigned(3, 'a', 'b'))
  await db.saveStatuses([aStatus('a'), aStatus('b', { exitCode: 1 })])
  await db.saveManagers([{ nodeId: 'n1', address: '10.0.0.1:2377' }])
  await db.saveAssignments(assigned(4, 'a'))
  await db.forget([taskId('b')])
  await db.close()

  const again = await openStateDb(openStateFile(path), silentLogger)
  t.equal(again.isComplete, true)
  t.same(again.restored.assignments, assigned(4, 'a'))
  t.same([...again.restored.statuses.values()], [aStatus('a')])
  t.same(again.restored.managers, [{ nodeId: 'n1', address: '10.0.0.1:2377' }])
  await again.close()

  await writeFile(path, Buffer.concat([await readFile(path), Buffer.from('deadbeef {"kind"')]))
  const torn = await openStateDb(openStateFile(path), silentLogger)
  t.equal(torn.isComplete, true, 'a torn tail was never acknowledged')
  t.same(torn.restored.assignments, assigned(4, 'a'))
  await torn.saveAssignments(assigned(5, 'a', 'c'))
  await torn.close()
  const repaired = await openStateDb(openStateFile(path), silentLogger)
  t.same([...repaired.restored.assignments.tasks.keys()], ['a', 'c'])
  await repaired.close()
})

t.test('damage in the middle is noticed', async (t) => {
  const file = new MemoryFile()
  const db = await openStateDb(file, silentLogger)
  await db.saveAssignments(assigned(3, 'a'))
  const end = file.data.length
  await db.saveAssignments(assigned(4, 'a', 'b'))
  file.data[end + 20] = (file.data[end + 20] ?? 0) ^ 1
  const again = await openStateDb(file, silentLogger)
  t.equal(again.isComplete, false)
  t.same([...again.restored.assignments.tasks.keys()], ['a'])
})

t.test('after a failed write the next one repairs', async (t) => {
  const file = new MemoryFile()
  const db = await openStateDb(file, silentLogger)
  await db.saveAssignments(assigned(3, 'a'))
  file.fails = true
  await t.rejects(db.saveAssignments(assigned(4, 'a', 'b')), /disk full/)
  await t.rejects(db.saveStatuses([aStatus('a')]), /disk full/)
  file.fails = false
  await db.saveStatuses([aStatus('b')])
  const again = await openStateDb(file, silentLogger)
  t.same(again.restored.assignments, assigned(4, 'a', 'b'))
  t.same([...again.restored.statuses.keys()], ['a', 'b'])
})

t.test('writes of one moment share a write, and the file does not grow for ever', async (t) => {
  const file = new MemoryFile()
  const db = await openStateDb(file, silentLogger)
  const before = file.writes
  await Promise.all(Array.from({ length: 50 }, (_, i) => db.saveStatuses([aStatus(`t${i}`)])))
  t.ok(file.writes - before <= 2, `${file.writes - before} writes`)
  for (let i = 0; i < 5_000; i++) await db.saveStatuses([aStatus(`t${i % 50}`, { atMs: i })])
  t.ok(file.data.length < 400_000, `${file.data.length} bytes`)
})

t.test('any cut of the file yields a state that was once saved', async () => {
  const file = new MemoryFile()
  const db = await openStateDb(file, silentLogger)
  const ids = ['a', 'b', 'c', 'd', 'e']
  for (let i = 1; i <= ids.length; i++) await db.saveAssignments(assigned(i, ...ids.slice(0, i)))
  const whole = file.data
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: whole.length }), async (cut) => {
      const part = new MemoryFile()
      part.data = Buffer.from(whole.subarray(0, cut))
      const { assignments } = (await openStateDb(part, silentLogger)).restored
      const index = assignments.stamp?.index ?? 0
      return [...assignments.tasks.keys()].join() === ids.slice(0, index).join()
    }),
  )
})

t.test('a spec that no task uses any more is not kept', async (t) => {
  const db = await openStateDb(new MemoryFile(), silentLogger)
  await db.saveAssignments(assigned(1, 'a'))
  const file = new MemoryFile()
  const other = await openStateDb(file, silentLogger)
  await other.saveAssignments(assigned(1, 'a'))
  await other.saveAssignments(assigned(2))
  t.equal((await openStateDb(file, silentLogger)).restored.assignments.specs.size, 0)
  t.ok(specHash('hello'))
})
