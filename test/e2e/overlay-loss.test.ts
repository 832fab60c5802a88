// No request is lost to updates, a drained node, scaling and lost managers, nor for long to a lost host: the program
// `npm run test:loss` at a rate that two busy cores bear, with few replicas. One lab for the whole file.
import t from 'tap'
import { loseHost } from '../loss/host-loss.ts'
import { clientLines, lossLine, stepLine } from '../loss/report.ts'
import { runLoss } from '../loss/run.ts'
import { LossSite } from '../loss/site.ts'

t.setTimeout(600_000)
const replicas = 4
const site = await LossSite.up('loss', replicas)
t.teardown(() => site.down())

t.test('no request is lost to what is done to a service and to its managers', async (t) => {
  const load = {
    perSecond: 50,
    fastMs: 5,
    slowPerSecond: 2,
    slowMs: 2_000,
    keepAlive: 25,
    // A busy machine may be late; a lost request is never answered.
    waitMs: 15_000,
  }
  const plan = { replicas, fewer: 2, rollings: 1, load }
  const { clients } = await runLoss(site, plan, (step) => t.comment(stepLine(step)))
  for (const client of clients) {
    for (const line of clientLines(client)) t.comment(line)
    const { name, sent, answered, failed, failures, closes, servers } = client
    t.ok(sent.fresh > 200, `${sent.fresh} new connections through ${name}`)
    t.same(failed, {}, `through ${name}`)
    t.same(failures, [])
    t.same(answered, sent)
    t.ok(servers > replicas, 'old and new tasks answered')
    t.ok(closes.asked > 0, 'kept connections were asked to end')
  }
})

t.test('a lost host is not noticed for long, a lost daemon not at all', async (t) => {
  const plan = { replicas, perSecond: 50 }
  const cut = await loseHost(site, 'host cut off', plan)
  t.comment(lossLine('host cut off', cut))
  t.ok(cut.failed > 0, `${cut.failed} connections were lost with it`)
  // On a busy machine the host is missed later; what nodes are told then they know at once.
  t.ok(
    cut.lastFailureMs < Math.max(4_000, cut.downMs + 1_500),
    `the last one began after ${cut.lastFailureMs} ms, it was down after ${cut.downMs} ms`,
  )
  t.ok(cut.downMs < 15_000, `down after ${cut.downMs} ms`)
  await site.spread(replicas)
  const killed = await loseHost(site, 'daemon killed', { ...plan, waitMs: 15_000 })
  t.comment(lossLine('daemon killed', killed))
  t.same(
    killed.clients.flatMap(({ failures }) => failures),
    [],
  )
})
