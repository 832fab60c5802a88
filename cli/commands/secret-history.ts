// tsswarm secret history
import { historyCommand } from '../payload-commands.ts'

export const command = historyCommand('secret')
