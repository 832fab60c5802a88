// tsswarm explain task
import { explainCommand } from '../explain-command.ts'

export const command = explainCommand({
  kind: 'task',
  completes: 'tasks',
  summary: 'Explain why a task is as it is, and what it waits for',
  description:
    'Why it is pending, node by node; why it failed or was rejected; why it was made; what it waits for: a restart delay, the task before ' +
    'it, an update, its health check; why it is to stop.',
  example: { what: 'Why does the first task not run?', reference: 'web.1' },
})
