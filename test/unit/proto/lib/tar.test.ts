import { spawnSync } from 'node:child_process'
import t from 'tap'
import { writeTar } from '../../../../proto/lib/tar.ts'

t.test('the system reads what was written', async (t) => {
  const archive = writeTar([
    { kind: 'directory', path: 'etc', mode: 0o711, uid: 5, gid: 6 },
    { kind: 'file', path: 'etc/motd', data: Buffer.from('hello\n'), mode: 0o600 },
    { kind: 'file', path: 'empty', data: new Uint8Array() },
    { kind: 'file', path: 'block', data: new Uint8Array(512).fill(65) },
    { kind: 'symlink', path: 'link', target: 'etc/motd' },
    { kind: 'hardlink', path: 'hard', target: 'empty' },
  ])
  t.equal(archive.length % 512, 0)
  const listed = spawnSync('tar', ['-tv', '--numeric-owner', '--utc'], { input: archive })
  t.equal(listed.status, 0, listed.stderr.toString())
  const lines = listed.stdout.toString().split('\n')
  t.match(lines[0], /^drwx--x--x 5\/6 .* 1970-01-01 00:00 etc\/$/)
  t.match(lines[1], /^-rw------- 0\/0 +6 .* etc\/motd$/)
  t.match(lines[4], /link -> etc\/motd$/)
  t.match(lines[5], /hard link to empty$/)
  const content = spawnSync('tar', ['-xO', 'etc/motd'], { input: archive })
  t.equal(content.stdout.toString(), 'hello\n')
})

t.test('the same entries are the same bytes', async (t) => {
  const entries = [{ kind: 'file' as const, path: 'a', data: Buffer.from('x') }]
  t.same(writeTar(entries), writeTar(entries))
})

t.test('a name that does not fit is refused', async (t) => {
  const write = (path: string) => writeTar([{ kind: 'file', path, data: new Uint8Array() }])
  t.doesNotThrow(() => write('a'.repeat(100)))
  t.throws(() => write('a'.repeat(101)), RangeError)
})
