// Loaded before everything else in a process: lets flushes fail as on a broken device while a file named in the
// environment exists: those by fdatasync, and the writes of a log, which is synced as it is written. Reaches worker
// threads too.
import fs, { existsSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

type Called = (err: NodeJS.ErrnoException | null, count?: number) => void

const trigger = process.env['TSSWARM_TEST_FAILING_SYNC'] ?? ''
const { fdatasync, writev } = fs

function failed(syscall: string, called: Called): void {
  const err = new Error(`EIO: i/o error, ${syscall}`)
  setImmediate(called, Object.assign(err, { code: 'EIO', errno: -5, syscall }))
}

function failingSync(fd: number, called: Called): void {
  if (existsSync(trigger)) failed('fdatasync', called)
  else fdatasync(fd, called)
}

function failingWrite(
  fd: number,
  parts: readonly NodeJS.ArrayBufferView[],
  position: number,
  called: Called,
): void {
  if (existsSync(trigger)) failed('writev', called)
  else writev(fd, parts, position, called)
}

Object.assign(fs, { fdatasync: failingSync, writev: failingWrite })
syncBuiltinESMExports()
