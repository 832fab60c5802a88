// tsswarm explain service
import { explainCommand } from '../explain-command.ts'

export const command = explainCommand({
  kind: 'service',
  completes: 'services',
  summary: 'Explain what a service waits for, and why tasks of it do not run',
  description: 'Tasks that say the same are told together.',
  example: { what: 'Why is it not complete?', reference: 'web' },
})
