import { execFileSync } from 'node:child_process'
import {
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { openGate } from '../../../../../worker/executor/container/exec-fifo.ts'

function aFolder(t: Test): { readonly dir: string; readonly gate: string } {
  const dir = mkdtempSync(join(tmpdir(), 'tsswarm-gate-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  return { dir, gate: join(dir, 'exec.fifo') }
}

t.test('who waits at the gate gets its byte, and the gate is gone', (t) => {
  const { dir, gate } = aFolder(t)
  execFileSync('mkfifo', [gate])
  const waiter = openSync(gate, constants.O_RDONLY | constants.O_NONBLOCK)
  t.teardown(() => closeSync(waiter))
  t.equal(openGate(dir), 'opened')
  t.equal(readSync(waiter, Buffer.alloc(8)), 1)
  t.notOk(existsSync(gate))
  t.end()
})

t.test('a gate where nobody waits is taken away', (t) => {
  const { dir, gate } = aFolder(t)
  execFileSync('mkfifo', [gate])
  t.equal(openGate(dir), 'passed')
  t.notOk(existsSync(gate))
  t.end()
})

t.test('what is no gate stays as it is', (t) => {
  const { dir, gate } = aFolder(t)
  t.equal(openGate(dir), 'unknown', 'there is none')
  writeFileSync(gate, 'text')
  t.equal(openGate(dir), 'unknown', 'a file')
  rmSync(gate)
  execFileSync('mkfifo', [`${gate}.other`])
  symlinkSync(`${gate}.other`, gate)
  t.equal(openGate(dir), 'unknown', 'a link')
  t.ok(existsSync(gate))
  t.end()
})
