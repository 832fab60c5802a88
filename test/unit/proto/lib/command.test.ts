import t from 'tap'
import { runCommand } from '../../../../proto/lib/command.ts'

t.test('a command answers with its exit code and both outputs', async (t) => {
  const result = await runCommand(['sh', '-c', 'cat; echo oops >&2; exit 3'], { input: 'hello' })
  t.same(result, { code: 3, stdout: 'hello', stderr: 'oops\n' })
})

t.test('arguments are never read by a shell', async (t) => {
  const result = await runCommand(['printf', '%s', '$(id); *'])
  t.equal(result.stdout, '$(id); *')
})

t.test('a program that does not exist is a result, not an exception', async (t) => {
  const result = await runCommand(['/no/such/program'])
  t.equal(result.code, -1)
  t.match(result.stderr, /ENOENT/)
  t.equal((await runCommand([])).code, -1)
})

t.test('a program that outstays its time is killed', async (t) => {
  const result = await runCommand(['sleep', '60'], { timeoutMs: 50 })
  t.equal(result.code, -1)
  t.equal(result.stderr, 'it was killed after 50 ms')
  const ended = await runCommand(['sh', '-c', 'kill -9 $$'])
  t.equal(ended.stderr, 'ended by SIGKILL')
})

t.test('input to a program that does not read it is no error', async (t) => {
  const result = await runCommand(['true'], { input: 'x'.repeat(1_000_000) })
  t.equal(result.code, 0)
})

t.test('the environment can be replaced', async (t) => {
  const result = await runCommand(['/usr/bin/env'], { env: { ONLY: '1' } })
  t.match(result.stdout, /^ONLY=1$/m)
  t.notMatch(result.stdout, /^HOME=/m)
})
