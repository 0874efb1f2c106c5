"""What people see: charts, tables, findings, sentences, and the report made of them."""

from helpers.show.cards import cards
from helpers.show.charts import bars, dots, graph, heat, lines, scatter, tree
from helpers.show.findings import begin, finding, needs, takeaways, text, unseen
from helpers.show.tables import table
from helpers.show.words import count, day, listing, money, percent
