"""Speed, memory, accuracy: the numbers in results/ and the tables made of them."""
