// Tasks that come and go under few addresses while hosts are cut off, rows of kernels lost, daemons and nats-servers killed: every
// kernel is right again soon after each, and no payload reaches the wrong task. `npm run test:churn` is the same for longer, with
// ten times as many containers.
import t from 'tap'
import { faultsOf, reportOf } from '../churn/report.ts'
import { runChurn } from '../churn/run.ts'

t.setTimeout(900_000)

t.test('tasks come and go, hosts are cut off, and nothing goes astray', async (t) => {
  const result = await runChurn({
    seed: Number(process.env.SEED ?? 20_261_127),
    lives: 100,
    alive: 30,
    partitions: 3,
    livesPerSecond: 4,
    probesPerSecond: 40,
    probers: 4,
    say: (line) => t.comment(line),
  })
  for (const line of reportOf(result).split('\n')) t.comment(line)
  t.same(faultsOf(result), [])
  t.ok(result.lives >= 100, `${result.lives} lives`)
  t.ok(result.reused > 20, `${result.reused} addresses were given again`)
  t.ok(result.judged > 1_000, `${result.judged} arrivals`)
  t.ok(result.rows > 10, `${result.rows} rows were lost`)
  t.ok(result.rowsMissed > 0, `${result.rowsMissed} of them were missed by a look right after it`)
})
