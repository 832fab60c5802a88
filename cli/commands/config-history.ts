// tsswarm config history
import { historyCommand } from '../payload-commands.ts'

export const command = historyCommand('config')
