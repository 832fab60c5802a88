import { spawn } from 'node:child_process'
import t from 'tap'
import {
  pidsInGroup,
  proportionalBytes,
  residentBytes,
  usedBytes,
  usedOf,
} from '../../bench/host-memory.ts'

t.test('what is used is what is not available', (t) => {
  const meminfo = 'MemTotal:        4000 kB\nMemFree:  100 kB\nMemAvailable:    1500 kB\n'
  t.equal(usedOf(meminfo), 2_500 * 1024)
  t.end()
})

t.test('this machine and this process use some', async (t) => {
  t.ok((await usedBytes()) > 0)
  const own = residentBytes(process.pid)
  t.ok(own > 10_000_000)
  const shared = proportionalBytes([process.pid])
  t.ok(shared > 0 && shared < 2 * own)
})

t.test('what is gone uses nothing', async (t) => {
  const child = spawn('true')
  await new Promise((resolve) => child.once('exit', resolve))
  t.equal(residentBytes(child.pid ?? 0), 0)
  t.equal(proportionalBytes([child.pid ?? 0]), 0)
})

t.test('processes are found by their group', (t) => {
  t.ok(pidsInGroup('/').includes(process.pid))
  t.same(pidsInGroup('/no such group'), [])
  t.end()
})
