import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { DockerApi } from '../../../bench/docker/docker-api.ts'

/** Paths of sockets are bounded: one of t.testdir() is too long. */
function shortDirectory(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'tsswarm-unit-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  return directory
}

/** A server that answers by path, and what it was sent. */
async function aServer(t: Test, answers: Readonly<Record<string, readonly [number, string]>>) {
  const socketPath = join(shortDirectory(t), 'docker.sock')
  const bodies: string[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString('utf8')
    })
    request.on('end', () => {
      bodies.push(`${request.method} ${body}`)
      const answer = answers[request.url ?? '']
      // Without an answer it hangs.
      if (answer !== undefined) response.writeHead(answer[0]).end(answer[1])
    })
  })
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  const api = new DockerApi(socketPath)
  t.teardown(() => {
    api.close()
    server.closeAllConnections()
    server.close()
  })
  return { api, bodies }
}

t.test('answers are JSON, those of the health check are text', async (t) => {
  const { api, bodies } = await aServer(t, {
    '/v1.41/nodes': [200, '[{"ID":"a"}]'],
    '/v1.41/_ping': [200, 'OK'],
    '/v1.41/services/create': [201, '{"ID":"s"}'],
  })
  t.strictSame(await api.get('/nodes'), [{ ID: 'a' }])
  t.equal(await api.get('/_ping'), 'OK')
  t.strictSame(await api.post('/services/create', { Name: 'web' }), { ID: 's' })
  t.strictSame(bodies, ['GET ', 'GET ', 'POST {"Name":"web"}'])
})

t.test('a refusal says by its code whether it may be tried again', async (t) => {
  const { api } = await aServer(t, {
    '/v1.41/a': [503, '{"message":"no leader"}'],
    '/v1.41/b': [409, '{"message":"name taken"}'],
    '/v1.41/c': [400, '{"message":"bad"}'],
  })
  await t.rejects(api.get('/a'), { code: 'UNAVAILABLE', message: /GET \/a: 503 .*no leader/ })
  await t.rejects(api.post('/b', {}), { code: 'NAME_CONFLICT' })
  await t.rejects(api.get('/c'), { code: 'INVALID_ARGUMENT' })
})

t.test('a daemon that hangs or is not there is unavailable', async (t) => {
  const { api } = await aServer(t, {})
  await t.rejects(api.post('/hangs', {}, 20), { code: 'UNAVAILABLE', message: /no answer on/ })
  const nobody = new DockerApi(join(shortDirectory(t), 'nobody.sock'))
  await t.rejects(nobody.get('/nodes'), { code: 'UNAVAILABLE' })
})
