"""Extensions of synfab: each module registers one when it is imported."""
