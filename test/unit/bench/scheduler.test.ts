import t from 'tap'
import { runSchedulerBench } from '../../bench/scheduler.ts'

t.test('the scheduler benchmark assigns every task, in memory and over Raft', async (t) => {
  const size = { nodes: 30, tasks: 450 }
  const { figures } = await runSchedulerBench({
    rounds: 1,
    cases: [
      { ...size, constrained: false, commits: 'in memory' },
      { ...size, constrained: true, commits: 'in memory' },
      { ...size, constrained: false, commits: 'Raft' },
    ],
  })
  t.equal(figures.length, 3)
  for (const { ms, tasksPerSecond } of figures) t.ok(ms >= 0 && tasksPerSecond > 0)
})
