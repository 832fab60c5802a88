// What was sent of layers, from looks at the files that they are sent from.
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { SentBytes, Standstill, watchSending } from '../../../../worker/image/sending.ts'

const file = (inode: number, sizeBytes: number, position: number) => ({
  inode,
  sizeBytes,
  position,
})

t.test('a layer counts from when it is read, and whole when its file is closed', async (t) => {
  const sent = new SentBytes()
  t.equal(sent.note([]), 0)
  t.equal(sent.note([file(1, 40, 40)]), 0, 'it is being written')
  t.equal(sent.note([file(1, 60, 65)]), 0, 'it grew between size and position')
  t.equal(sent.note([file(1, 100, 30), file(2, 10, 10)]), 30)
  t.equal(sent.note([file(1, 100, 100), file(2, 50, 20)]), 120, 'all of it is on its way')
  t.equal(sent.note([file(2, 50, 50)]), 150)
  t.equal(sent.note([file(3, 7, 7)]), 150)
  t.equal(sent.note([]), 157, 'too fast to be seen')
})

t.test('what was sent never becomes less', async (t) => {
  const sent = new SentBytes()
  sent.note([file(1, 100, 60)])
  t.equal(sent.note([file(1, 100, 10)]), 60, 'it is sent once more')
  t.equal(sent.note([file(1, 100, 80)]), 80)
})

t.test('what stands still for too long is noticed, and what moves is not', async (t) => {
  const still = new Standstill(1_000, 5_000)
  t.equal(still.note([], 6_000), undefined)
  t.equal(still.note([], 6_001), 1_001, 'nothing was ever asked of the spool')
  t.equal(still.note([file(1, 100, 100)], 6_002), undefined, 'a layer is spooled')
  t.equal(still.note([file(1, 100, 0)], 7_003), undefined, 'it begins to go')
  t.equal(still.note([file(1, 100, 30)], 8_003), undefined)
  t.equal(still.note([file(1, 100, 30)], 9_003), undefined)
  t.equal(still.note([file(1, 100, 30)], 9_004), 1_001)
  t.equal(still.note([file(1, 100, 30), file(2, 7, 0)], 9_005), undefined, 'another layer')
})

t.test('a registry has the time to store what it has whole', async (t) => {
  const still = new Standstill(1_000, 0)
  const mebibytes = 80 * 1024 * 1024
  t.equal(still.note([file(1, mebibytes, mebibytes)], 0), undefined)
  t.equal(still.note([file(1, mebibytes, mebibytes)], 11_000 + 240), undefined)
  t.equal(still.note([file(1, mebibytes, mebibytes)], 11_000 + 241), 11_241)
  t.equal(still.note([file(1, mebibytes, mebibytes), file(2, 9, 1)], 11_242), undefined)
  t.equal(still.note([file(1, mebibytes, mebibytes), file(2, 9, 1)], 12_243), 1_001, 'not all is')
})

/** Spools 5,000 bytes, takes the file's name away, reads 2,000 of them and waits. */
const program = `
const fs = require('node:fs')
const path = process.argv[1] + '/layer'
const fd = fs.openSync(path, 'w+')
fs.writeSync(fd, Buffer.alloc(5000))
fs.unlinkSync(path)
const again = fs.openSync('/proc/self/fd/' + fd, 'r')
fs.closeSync(fd)
fs.readSync(again, Buffer.alloc(2000), 0, 2000, null)
process.stdin.on('end', () => process.exit(0)).resume()
`

t.test('what another process has sent is seen, also of a file without a name', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'tsswarm-sending-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const child = spawn(process.execPath, ['-e', program, dir], {
    argv0: 'skopeo',
    stdio: ['pipe', 'ignore', 'inherit'],
  })
  const ended = new Promise((resolve) => child.once('exit', resolve))
  t.teardown(async () => {
    child.stdin?.end()
    await ended
  })
  const told: number[] = []
  await new Promise<void>((resolve) => {
    const watch = watchSending(dir, systemClock, {
      onBytes: (bytes) => {
        told.push(bytes)
        watch.stop()
        resolve()
      },
      stalledMs: 3_600_000,
      onStalled: () => t.fail('it stands still'),
    })
    t.teardown(() => watch.stop())
  })
  t.same(told, [2000])
})
