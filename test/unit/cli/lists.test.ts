// Lists as commands get them: whole, over a real socket.
import t from 'tap'
import { connectClient } from '../../../cli/client.ts'
import { listNodes, listServices, listTasks } from '../../../cli/lists.ts'
import { systemClock } from '../../../proto/lib/clock.ts'
import { systemRandom } from '../../../proto/lib/random.ts'
import { createService } from '../../support/control.ts'
import { startTestDaemon } from '../../support/daemon-server.ts'
import { aTask } from '../../support/objects.ts'

t.test('thirty thousand tasks are listed, each with its spec', async (t) => {
  const daemon = await startTestDaemon()
  t.teardown(() => daemon.close())
  const { world } = daemon
  const { id, specHash } = await createService(world, { name: 'web' })
  for (let at = 0; at < 30_000; at += 200) {
    await world.store.update((tx) => {
      for (let i = at; i < at + 200; i++) {
        tx.create('tasks', aTask({ id: `t${i}`, service: id, slot: i + 1, specHash }))
      }
    })
  }
  const { signal } = new AbortController()
  const socketPath = daemon.socketPath
  const client = await connectClient({
    socketPath,
    clock: systemClock,
    random: systemRandom,
    signal,
  })
  t.teardown(() => client.close())
  const tasks = await listTasks(client)
  t.equal(tasks.length, 30_000)
  t.match(tasks.at(-1), { task: { id: 't29999' }, serviceName: 'web' })
  t.ok(tasks.every(({ spec }) => spec?.container?.image !== undefined))
  t.match(await listServices(client), [{ service: { id }, desiredTasks: 1 }])
  t.match(await listNodes(client), { nodes: [], selfNodeId: /^manager1/ })
  const { code, stdout } = await daemon.run('service ps -q web')
  t.equal(code, 0)
  t.equal(stdout.split('\n').length, 30_001)
})
