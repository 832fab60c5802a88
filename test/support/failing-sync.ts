// Loaded before everything else in a process: lets fdatasync fail as on a broken device while a file named in the
// environment exists. Reaches worker threads too.
import fs, { existsSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

const trigger = process.env['TSSWARM_TEST_FAILING_SYNC'] ?? ''
const { fdatasync } = fs

function failing(fd: number, callback: (err: NodeJS.ErrnoException | null) => void): void {
  if (!existsSync(trigger)) {
    fdatasync(fd, callback)
    return
  }
  const err = new Error('EIO: i/o error, fdatasync')
  setImmediate(callback, Object.assign(err, { code: 'EIO', errno: -5, syscall: 'fdatasync' }))
}

Object.assign(fs, { fdatasync: failing })
syncBuiltinESMExports()
