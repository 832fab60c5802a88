// tsswarm secret inspect
import { inspectCommand } from '../payload-commands.ts'

export const command = inspectCommand('secret')
