// tsswarm explain node
import { explainCommand } from '../explain-command.ts'

export const command = explainCommand({
  kind: 'node',
  completes: 'nodes',
  summary: 'Explain why a node takes tasks or takes none, and what is left of it',
  description: 'Its state, availability and problems, what is reserved on it, and its tasks.',
  example: { what: 'What is left of it?', reference: 'worker-1' },
})
